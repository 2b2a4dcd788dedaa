#include "tests/proxy/postgres/session/session_script.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "routing/postgres/function_classes.h"
#include "routing/postgres/wire/frame.h"

namespace mosaic::proxy {

using routing::ByteBuffer;

namespace {

std::string c_string(std::string_view text) { return std::string(text) + '\0'; }
std::string_view until_zero(std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); }

std::string line_to_server(char type, std::string_view body) {
  const std::string_view first = until_zero(body);
  switch (type) {
    case 'Q':
      return fmt::format("Query {}", first);
    case 'P':
      return fmt::format("Parse [{}] {}", first, until_zero(body.substr(first.size() + 1)));
    case 'B':
      return fmt::format("Bind [{}]", until_zero(body.substr(first.size() + 1)));
    case 'D':
      return fmt::format("Describe {} [{}]", body[0], until_zero(body.substr(1)));
    case 'E':
      return fmt::format("Execute [{}]", first);
    case 'C':
      return fmt::format("Close {} [{}]", body[0], until_zero(body.substr(1)));
    case 'S':
      return "Sync";
    case 'H':
      return "Flush";
    case 'd':
      return fmt::format("CopyData {}", body);
    case 'c':
      return "CopyDone";
    case 'f':
      return fmt::format("CopyFail {}", first);
    case 'F':
      return "FunctionCall";
    default:
      return fmt::format("? {}", type);
  }
}

std::string line_to_client(char type, std::string_view body) {
  switch (type) {
    case 'E': {
      const routing::Error error = routing::parse_error_fields(body);
      return fmt::format("Error {} {}", error.sqlstate, error.message);
    }
    case 'Z':
      return fmt::format("Ready {}", body[0]);
    case 'C':
      return fmt::format("Complete {}", until_zero(body));
    case 'S':
      return fmt::format("Parameter {}={}", until_zero(body),
                         until_zero(body.substr(until_zero(body).size() + 1)));
    case 'K':
      return "Key";
    case 'N':
      return "Notice";
    case '1':
      return "ParseComplete";
    case '2':
      return "BindComplete";
    case '3':
      return "CloseComplete";
    case 'n':
      return "NoData";
    case 't':
      return "ParameterDescription";
    case 'T':
      return "RowDescription";
    case 'D':
      return "Row";
    case 'G':
      return "CopyIn";
    case 'I':
      return "EmptyQuery";
    case 's':
      return "Suspended";
    case 'V':
      return "FunctionResult";
    default:
      return fmt::format("? {}", type);
  }
}

template <typename ToLine>
std::vector<std::string> lines_of(ByteBuffer& buffer, ToLine to_line) {
  std::vector<std::string> lines;
  while (const auto header = routing::find_frame_header(buffer.view())) {
    lines.push_back(
        to_line(header->type, buffer.view().substr(routing::kFrameHeaderBytes, header->body_bytes())));
    buffer.consume(header->frame_bytes());
  }
  return lines;
}

bool is_only(const std::vector<std::string>& lines, std::string_view part) {
  return lines.size() == 1 && lines[0].find(part) != std::string::npos;
}

}  // namespace

std::shared_ptr<const routing::CatalogSnapshot> script_catalog() {
  routing::CatalogSnapshot::Parts parts;
  parts.epoch.value = 1;
  parts.functions = routing::FunctionClasses::empty();
  parts.node_names = {"pg1", "pg2"};
  for (uint32_t shard = 0; shard < 8; ++shard)
    parts.places.push_back({{static_cast<uint16_t>(shard / 4)}, {}, false});
  const auto sharded = [](const char* name, const char* id) {
    routing::Table table;
    table.name = name;
    table.key = "user_id";
    table.id = id;
    return table;
  };
  parts.tables.push_back(sharded("users", ""));
  parts.tables.back().columns = {{"user_id", 20}, {"name", 25}};
  parts.tables.push_back(sharded("media", "id"));
  parts.tables.back().columns = {{"id", 20}, {"user_id", 20}, {"caption", 25}};
  routing::Table countries;
  countries.name = "countries";
  countries.kind = routing::TableKind::kReference;
  parts.tables.push_back(countries);
  return std::make_shared<const routing::CatalogSnapshot>(std::move(parts));
}

SessionScript::SessionScript() {
  environment.router = &router;
  environment.statements = &statements;
  environment.welcomes = &welcomes;
  environment.parse_contexts = &parse_contexts;
  environment.binder = &binder;
  environment.buffers = &buffers;
  environment.name_values = &name_values;
  environment.catalog = script_catalog();
  environment.max_prepared_statements = 3;
  environment.max_client_prepared_statements = 100;
  environment.traffic.resize(2);
  environment.shard_queries.resize(8);
  memory.settings = name_values.empty();
  memory.parameters = name_values.intern({{"application_name", ""}, {"server_version", "15"}});
  outbox.to_client = &client_out;
  outbox.to_server = &server_out;
  welcomes.store("app", name_values.empty(), memory.parameters);
  session = std::make_unique<Session>(environment, outbox);
  session->on_login("app", {}, 1, 2);
  to_client();
}

Session::Intake SessionScript::client(char type, std::string_view body) {
  EXPECT_TRUE(pending_.is_empty()) << "an earlier message of the client waits to be taken again";
  const auto intake = session->on_client_frame(type, body);
  redeliver();
  return intake;
}
Session::Intake SessionScript::query(std::string_view text) { return client('Q', c_string(text)); }
Session::Intake SessionScript::parse(std::string_view name, std::string_view text) {
  return client('P', c_string(name) + c_string(text) + std::string(2, '\0'));
}
Session::Intake SessionScript::bind(std::string_view portal, std::string_view statement,
                                    std::vector<std::string> values) {
  ByteBuffer body;
  body.append_c_string(portal);
  body.append_c_string(statement);
  body.append_u16(0);
  body.append_u16(static_cast<uint16_t>(values.size()));
  for (const std::string& value : values) {
    body.append_u32(static_cast<uint32_t>(value.size()));
    body.append(value);
  }
  body.append_u16(0);
  return client('B', body.view());
}
Session::Intake SessionScript::describe(char kind, std::string_view name) {
  return client('D', kind + c_string(name));
}
Session::Intake SessionScript::execute(std::string_view portal, uint32_t row_limit) {
  ByteBuffer body;
  body.append_c_string(portal);
  body.append_u32(row_limit);
  return client('E', body.view());
}
Session::Intake SessionScript::sync() { return client('S', {}); }
Session::Intake SessionScript::flush() { return client('H', {}); }
Session::Intake SessionScript::close(char kind, std::string_view name) {
  return client('C', kind + c_string(name));
}

void SessionScript::send(const std::string& text) {
  if (query(text) == Session::Intake::kTaken) return;
  grant();
  EXPECT_EQ(query(text), Session::Intake::kTaken) << text;
}

void SessionScript::send_extended(std::string_view text, std::vector<std::string> values,
                                  uint32_t row_limit) {
  EXPECT_EQ(parse("", text), Session::Intake::kTaken) << text;
  if (bind("", "", values) == Session::Intake::kLater) {
    grant();
    EXPECT_EQ(bind("", "", values), Session::Intake::kTaken) << text;
  }
  EXPECT_EQ(execute("", row_limit), Session::Intake::kTaken) << text;
}

void SessionScript::redeliver() {
  if (!outbox.redeliver.is_empty()) {
    outbox.redeliver.append(pending_.view());
    pending_.swap(outbox.redeliver);
    outbox.redeliver.clear();
  }
  while (!pending_.is_empty() && session->can_take()) {
    const auto header = *routing::find_frame_header(pending_.view());
    const std::string body(pending_.view().substr(routing::kFrameHeaderBytes, header.body_bytes()));
    if (session->on_client_frame(header.type, body) == Session::Intake::kLater) return;
    pending_.consume(header.frame_bytes());
  }
}

std::string SessionScript::wanted_node() const {
  return wants_lease() ? environment.catalog->node_name(outbox.lease_request->node) : "";
}

std::string SessionScript::grant() {
  const std::string node = wanted_node();
  memory.node = outbox.lease_request->node;
  outbox.lease_request.reset();
  session->on_lease(memory);
  redeliver();
  return node;
}

void SessionScript::open_gate() {
  outbox.lease_request.reset();
  session->on_gate_open();
  redeliver();
}

void SessionScript::fail_lease(const char* sqlstate) {
  session->on_lease_failed(routing::Error{sqlstate, "no server", "", ""});
  redeliver();
}

void SessionScript::lose_server() {
  session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  memory = {};
  memory.settings = memory.parameters = name_values.empty();
  redeliver();
}

void SessionScript::server(char type, std::string_view body) {
  ByteBuffer frame_bytes;
  {
    routing::FrameWriter frame(frame_bytes, type);
    frame_bytes.append(body);
  }
  auto verdict = session->on_server_frame(*routing::find_frame_header(frame_bytes.view()));
  if (verdict == Session::Verdict::kBody) verdict = session->on_server_body(type, body);
  if (verdict == Session::Verdict::kForward) client_out.append(frame_bytes.view());
  redeliver();
}

void SessionScript::server_complete(std::string_view tag) { server('C', c_string(tag)); }

void SessionScript::server_error(std::string_view sqlstate, std::string_view message) {
  server('E', "C" + c_string(sqlstate) + "M" + c_string(message) + std::string(1, '\0'));
}

void SessionScript::server_row(std::string_view value) {
  ByteBuffer body;
  body.append_u16(1);
  body.append_u32(static_cast<uint32_t>(value.size()));
  body.append(value);
  server('D', body.view());
}

void SessionScript::server_parameter(std::string_view name, std::string_view value) {
  server('S', c_string(name) + c_string(value));
}

std::vector<std::string> SessionScript::answer(std::vector<std::string> tags, char status) {
  const std::vector<std::string> sent = to_server();
  size_t next = 0;
  const auto complete = [&] { server_complete(next < tags.size() ? tags[next++] : "SELECT 1"); };
  for (const std::string& line : sent) {
    if (line.starts_with("Parse")) server('1', {});
    if (line.starts_with("Bind")) server('2', {});
    if (line.starts_with("Close")) server('3', {});
    if (line.starts_with("Describe S")) server('t', std::string(2, '\0'));
    if (line.starts_with("Describe")) server('n', {});
    if (line.starts_with("Execute") || line.starts_with("Query")) complete();
    if (line.starts_with("Query") || line == "Sync") server_ready(status);
  }
  return sent;
}

void SessionScript::answer_look(std::string_view left) {
  EXPECT_EQ(session->phase(), Session::Phase::kResting);
  EXPECT_TRUE(is_only(to_server(), "pg_listening_channels")) << "the session asks what is left";
  server_row(left);
  server_complete("SELECT 1");
  server_ready('I');
}

void SessionScript::answer_rest(std::string_view count) {
  EXPECT_TRUE(is_only(to_server(), "Query RESET ROLE;")) << "the session brings its server to rest";
  server_row(count);
  server_complete("SELECT 1");
  server_ready('I');
}

std::vector<std::string> SessionScript::to_server() { return lines_of(server_out, line_to_server); }
std::vector<std::string> SessionScript::to_client() { return lines_of(client_out, line_to_client); }

int64_t SessionScript::user_on(std::string_view node, int which) const {
  const auto& catalog = *environment.catalog;
  for (int64_t user = 1;; ++user) {
    routing::KeyValue key;
    key.integer = user;
    const auto shard = routing::shard_of(catalog.shard_function(), key, catalog.shard_count());
    if (catalog.node_name(catalog.node_of(shard)) == node && which-- == 0) return user;
  }
}

std::string SessionScript::schema_of_user(int64_t user) const {
  routing::KeyValue key;
  key.integer = user;
  const auto& catalog = *environment.catalog;
  return std::string(
      catalog.schema_of(routing::shard_of(catalog.shard_function(), key, catalog.shard_count())));
}

}  // namespace mosaic::proxy
