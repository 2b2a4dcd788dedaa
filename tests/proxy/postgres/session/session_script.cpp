#include "tests/proxy/postgres/session/session_script.h"

#include <fmt/format.h>

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

}  // namespace

std::shared_ptr<const routing::CatalogSnapshot> script_catalog() {
  routing::CatalogSnapshot::Parts parts;
  parts.epoch.value = 1;
  parts.functions = routing::FunctionClasses::empty();
  parts.node_names = {"pg1", "pg2"};
  for (uint32_t shard = 0; shard < 8; ++shard)
    parts.shard_nodes.push_back({static_cast<uint16_t>(shard / 4)});
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
  memory.parameters = name_values.intern({{"server_version", "15"}});
  outbox.to_client = &client_out;
  outbox.to_server = &server_out;
  welcomes.store("app", name_values.empty(), memory.parameters);
  session = std::make_unique<Session>(environment, outbox);
  session->on_login("app", {}, 1, 2);
  to_client();
}

Session::Intake SessionScript::client(char type, std::string_view body) {
  return session->on_client_frame(type, body);
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
Session::Intake SessionScript::execute(std::string_view portal) {
  return client('E', c_string(portal) + std::string(4, '\0'));
}
Session::Intake SessionScript::sync() { return client('S', {}); }

std::string SessionScript::wanted_node() const {
  return wants_lease() ? environment.catalog->node_name(outbox.lease_request->node) : "";
}

std::string SessionScript::grant() {
  const std::string node = wanted_node();
  memory.node = outbox.lease_request->node;
  outbox.lease_request.reset();
  session->on_lease(memory);
  return node;
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
}

void SessionScript::server_complete(std::string_view tag) { server('C', c_string(tag)); }

void SessionScript::server_error(std::string_view sqlstate, std::string_view message) {
  server('E', "C" + c_string(sqlstate) + "M" + c_string(message) + std::string(1, '\0'));
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
