#include "tests/simulation/model_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routing/postgres/wire/messages.h"

namespace mosaic::simulation {

using routing::BodyReader;
using routing::ByteBuffer;
using routing::Error;

namespace {

constexpr size_t kHistoryMax = 24;  // messages shown with a complaint

}  // namespace

void ModelServer::run(ByteBuffer& in, ByteBuffer& out) {
  while (!is_running_) {
    const auto header = routing::find_frame_header(in.view());
    if (!header || in.size() < header->frame_bytes()) return;
    if (!routing::is_valid(*header)) {
      complain("a frame without a valid length");
      return;
    }
    const std::string body(in.view().substr(routing::kFrameHeaderBytes, header->body_bytes()));
    in.consume(header->frame_bytes());
    on_frame(header->type, body, out);
  }
}

void ModelServer::cancel(ByteBuffer& out) {
  if (!is_running_) return;
  is_running_ = false;
  fail("57014", "canceling statement due to user request", out);
  is_simple_ ? end_group(out) : fail_group();
}

void ModelServer::on_frame(char type, std::string_view body, ByteBuffer& out) {
  std::string told(1, type);
  for (const char c : body) told += c < ' ' ? '.' : c;
  history_.push_back(std::move(told));
  if (history_.size() > kHistoryMax) history_.pop_front();
  if (is_copying_ && type != 'Q' && type != 'P') {
    on_copy(type, body, out);
    return;
  }
  if (is_copying_) complain(fmt::format("message {} while COPY data is taken", type));
  if (is_skipping_ && type != 'S') return;
  switch (type) {
    case 'Q':
      on_query(body.substr(0, body.find('\0')), out);
      return;
    case 'P':
      return on_parse(body, out);
    case 'B':
      return on_bind(body, out);
    case 'D':
      return on_describe(body, out);
    case 'E':
      return on_execute(body, out);
    case 'C': {
      const std::string name(body.substr(1, body.size() - 2));
      body[0] == 'S' ? statements_.erase(name) : portals_.erase(name);
      routing::append_empty(out, '3');
      return;
    }
    case 'S':
      is_skipping_ = false;
      end_group(out);
      return;
    case 'H':
    case 'd':
    case 'c':
    case 'f':
      return;  // the last three: what is left of a COPY that failed
    default:
      complain(fmt::format("unexpected message type {}", type));
  }
}

void ModelServer::on_query(std::string_view text, ByteBuffer& out) {
  is_simple_ = true;
  statements_.erase("");
  size_t ran = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find(';'), rest.size());
    std::string_view statement = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    statement.remove_prefix(std::min(statement.find_first_not_of(' '), statement.size()));
    if (statement.empty()) continue;
    ++ran;
    Portal portal{std::string(statement), {}};
    if (!run_statement(portal, true, 0, out)) break;
    if (is_copying_ || is_running_) return;
  }
  if (ran == 0) routing::append_empty(out, 'I');
  end_group(out);
}

void ModelServer::end_group(ByteBuffer& out) {
  if (const std::string late = std::exchange(late_, {}); !late.empty() && !is_skipping_)
    fail("23503", "constraint violated by " + late, out);
  if (status_ == 'I') end_transaction(!is_skipping_);
  routing::append_ready(out, status_);
}

void ModelServer::end_transaction(bool is_commit) {
  if (is_commit) {
    state_.settings = state_.session;  // SET LOCAL ends
    settled_ = state_;
  } else {
    state_ = settled_;
  }
  status_ = 'I';
  marks_.clear();
  portals_.clear();
  transaction_node_.reset();
}

bool ModelServer::fail(std::string_view sqlstate, std::string_view message, ByteBuffer& out) {
  routing::append_error(out, Error{std::string(sqlstate), std::string(message), "", ""});
  if (status_ == 'I') {
    state_ = settled_;  // the implicit transaction is over
  } else {
    status_ = 'E';
  }
  return false;
}

// --- extended protocol ---

namespace {

bool ends_transaction(std::string_view text) {
  return text.starts_with("COMMIT") || text.starts_with("ROLLBACK");
}
bool returns_rows(std::string_view text) {
  return text.starts_with("SELECT") || text.find("RETURNING") != std::string_view::npos;
}

}  // namespace

void ModelServer::on_parse(std::string_view body, ByteBuffer& out) {
  is_simple_ = false;
  BodyReader reader(body);
  const std::string name(reader.read_c_string());
  const std::string text(reader.read_c_string());
  if (name.empty()) statements_.erase(name);  // whether the new one is accepted or not
  if (text.starts_with("mosaic refused")) {
    fail("42601", "syntax error", out);
    return fail_group();
  }
  if (status_ == 'E' && !ends_transaction(text)) {
    fail("25P02", "current transaction is aborted", out);
    return fail_group();
  }
  if (!name.empty() && statements_.contains(name)) {
    fail("42P05", "prepared statement already exists", out);
    return fail_group();
  }
  // Stands for a column that takes no text.
  if (role_ == Role::kNode && text.find("RETURNING caption, typed") != std::string::npos &&
      text.find('$') != std::string::npos) {
    fail("42804", "column is of another type", out);
    return fail_group();
  }
  statements_[name] = text;
  routing::append_empty(out, '1');
}

void ModelServer::on_bind(std::string_view body, ByteBuffer& out) {
  BodyReader reader(body);
  const std::string portal(reader.read_c_string());
  const auto statement = statements_.find(std::string(reader.read_c_string()));
  if (statement == statements_.end()) {
    fail("26000", "prepared statement does not exist", out);
    return fail_group();
  }
  if (status_ == 'E' && !ends_transaction(statement->second)) {
    fail("25P02", "current transaction is aborted", out);
    return fail_group();
  }
  for (uint16_t formats = reader.read_u16(); formats > 0; --formats) reader.read_u16();
  std::vector<std::string> values;
  for (uint16_t count = reader.read_u16(); count > 0; --count)
    values.emplace_back(reader.read_bytes(reader.read_u32()));
  // Stands for a value that is no good as a parameter.
  if (role_ == Role::kNode && values.size() > 1 && values[1].ends_with("odd")) {
    fail("22P02", "invalid input syntax", out);
    return fail_group();
  }
  portals_[portal] = Portal{statement->second, std::move(values)};
  routing::append_empty(out, '2');
}

void ModelServer::on_describe(std::string_view body, ByteBuffer& out) {
  const std::string name(body.substr(1, body.size() - 2));
  std::string text;
  if (body[0] == 'S') {
    const auto found = statements_.find(name);
    if (found == statements_.end()) {
      fail("26000", "prepared statement does not exist", out);
      return fail_group();
    }
    text = found->second;
    if (status_ == 'E' &&
        returns_rows(text)) {  // PostgreSQL, exec_describe_statement_message() in postgres.c
      fail("25P02", "current transaction is aborted", out);
      return fail_group();
    }
    routing::FrameWriter frame(out, 't');
    const auto count = static_cast<uint16_t>(std::count(text.begin(), text.end(), '$'));
    out.append_u16(count);
    for (uint16_t i = 0; i < count; ++i) out.append_u32(i == 0 ? 20 : 25);
  } else {
    const auto found = portals_.find(name);
    if (found == portals_.end()) {
      fail("34000", "portal does not exist", out);
      return fail_group();
    }
    text = found->second.text;
  }
  if (!returns_rows(text)) return routing::append_empty(out, 'n');
  const routing::ColumnDescription columns[] = {{"caption"}, {"setting"}};
  routing::append_row_description(out, columns);
}

void ModelServer::on_execute(std::string_view body, ByteBuffer& out) {
  is_simple_ = false;
  const auto found = portals_.find(std::string(body.substr(0, body.find('\0'))));
  if (found == portals_.end()) {
    fail("34000", "portal does not exist", out);
    return fail_group();
  }
  BodyReader reader(body.substr(found->first.size() + 1));
  // The statement may end the transaction, and the portal with it.
  Portal portal = found->second;
  const std::string name = found->first;
  if (!run_statement(portal, false, static_cast<int>(reader.read_u32()), out)) return fail_group();
  if (const auto left = portals_.find(name); left != portals_.end())
    left->second.sent_rows = portal.sent_rows;
}

// --- statements ---

bool ModelServer::run_statement(Portal& portal, bool is_described, int row_limit, ByteBuffer& out) {
  const std::string_view text = portal.text;
  if (text.starts_with("mosaic refused")) return fail("42601", "syntax error", out);
  if (status_ == 'E' && !ends_transaction(text)) return fail("25P02", "current transaction is aborted", out);
  bool is_known = false;
  bool is_ok = run_transaction_statement(text, out, is_known);
  if (!is_known) is_ok = run_session_statement(text, out, is_known);
  if (!is_known) is_ok = run_housekeeping(text, out, is_known);
  return is_known ? is_ok : run_on_table(portal, is_described, row_limit, out);
}

void ModelServer::answer_row(std::string_view value, std::string_view tag, ByteBuffer& out) {
  const std::optional<std::string> row[] = {std::string(value)};
  routing::append_data_row(out, row);
  routing::append_command_complete(out, tag);
}

std::string ModelServer::traces() const {
  std::string text = state_.is_listening ? "a channel " : "";
  for (const std::string& trace : traces_) text += trace + ' ';
  return text;
}

bool ModelServer::run_session_statement(std::string_view text, ByteBuffer& out, bool& is_known) {
  is_known = true;
  if (text.starts_with("SET ") || text.starts_with("RESET ") || text == "DISCARD ALL" ||
      text.find("set_config(") != std::string_view::npos)
    return run_setting(text, out);
  if (text.starts_with("LISTEN") || text.starts_with("UNLISTEN")) {
    const bool is_listen = text.starts_with("LISTEN");
    if (const auto refused = is_listen ? refusal_of_node(0) : std::nullopt)
      return fail(*refused, "refused", out);
    state_.is_listening = is_listen;
    routing::append_command_complete(out, is_listen ? "LISTEN" : "UNLISTEN");
    return true;
  }
  if (text.starts_with("DEALLOCATE ")) {
    const std::string name(text.substr(text.find(' ') + 1));
    if (role_ == Role::kNode) complain("names of clients' statements live in Mosaic: " + std::string(text));
    if (name == "ALL") {
      statements_.clear();
    } else if (statements_.erase(name) == 0) {
      return fail("26000", "prepared statement does not exist", out);
    }
    routing::append_command_complete(out, name == "ALL" ? "DEALLOCATE ALL" : "DEALLOCATE");
    return true;
  }
  return !(is_known = false);
}

bool ModelServer::run_housekeeping(std::string_view text, ByteBuffer& out, bool& is_known) {
  is_known = role_ == Role::kNode;
  if (text.starts_with("CLOSE ALL") || text.starts_with("DISCARD ")) {
    if (text == "CLOSE ALL") traces_.erase("cursor");
    if (text == "DISCARD TEMP") traces_.erase("table");
    if (text == "DISCARD SEQUENCES") traces_.erase("sequence");
    routing::append_command_complete(out, text.substr(0, text.find(' ')));
    return true;
  }
  if (text == "SELECT 1 OPERATOR(pg_catalog./) 0")  // a transaction that has failed is to be failed here
    return fail("22012", "division by zero", out);
  if (text.starts_with("SELECT CASE WHEN EXISTS")) {  // what is left?
    answer_row(state_.is_listening ? "L" : "", "SELECT 1", out);
    return true;
  }
  if (text.starts_with("SELECT pg_catalog.")) {
    if (text.find("pg_advisory_unlock_all") != std::string_view::npos) traces_.erase("lock");
    const bool is_count = text.find("pg_prepared_statements") != std::string_view::npos;
    answer_row(is_count && traces_.contains("plan") ? "1" : "0", "SELECT 1", out);
    return true;
  }
  return !(is_known = false);
}

bool ModelServer::run_transaction_statement(std::string_view text, ByteBuffer& out, bool& is_known) {
  is_known = true;
  const auto savepoint = [&] { return std::string(text.substr(text.rfind(' ') + 1)); };
  const auto find_mark = [&] {
    return std::find_if(marks_.rbegin(), marks_.rend(),
                        [&](const Mark& mark) { return mark.savepoint == savepoint(); });
  };
  if (text.starts_with("BEGIN")) {
    status_ = 'T';
    routing::append_command_complete(out, "BEGIN");
  } else if (text.starts_with("SAVEPOINT")) {
    marks_.push_back({savepoint(), state_});
    routing::append_command_complete(out, "SAVEPOINT");
  } else if (text.starts_with("RELEASE")) {
    const auto found = find_mark();
    if (found == marks_.rend()) return fail("3B001", "savepoint does not exist", out);
    marks_.erase(found.base() - 1, marks_.end());
    routing::append_command_complete(out, "RELEASE");
  } else if (text.starts_with("ROLLBACK TO")) {
    const auto found = find_mark();
    if (found == marks_.rend()) return fail("3B001", "savepoint does not exist", out);
    state_ = found->state;
    marks_.erase(found.base(), marks_.end());
    status_ = 'T';
    routing::append_command_complete(out, "ROLLBACK");
  } else if (ends_transaction(text)) {
    const bool is_commit = text.starts_with("COMMIT") && status_ != 'E';
    end_transaction(is_commit);
    if (text.ends_with("AND CHAIN")) status_ = 'T';
    routing::append_command_complete(out, is_commit ? "COMMIT" : "ROLLBACK");
  } else {
    is_known = false;
  }
  return true;
}

// SET [LOCAL] name TO value, SELECT set_config('name', 'value', is_local), RESET name, RESET ALL, and who one
// is; DISCARD ALL.
bool ModelServer::run_setting(std::string_view text, ByteBuffer& out) {
  if (text.starts_with("DISCARD")) {
    state_ = {};
    statements_.clear();
    traces_.clear();
    routing::append_command_complete(out, "DISCARD ALL");
    return true;
  }
  const auto assign = [this](const std::string& name, const std::string& value, bool is_local) {
    if (is_local && status_ == 'I' && is_simple_) return;  // nothing is open that it could last for
    state_.settings[name] = value;
    if (!is_local) state_.session[name] = value;
  };
  if (const size_t call = text.find("set_config("); call != std::string_view::npos) {
    std::vector<std::string> parts;  // between quotes, and not
    std::string_view rest = text.substr(call);
    for (size_t at; (at = rest.find('\'')) != std::string_view::npos; rest.remove_prefix(at + 1))
      parts.emplace_back(rest.substr(0, at));
    assign(parts[1], parts[3], rest.find("true") != std::string_view::npos);
    answer_row(parts[3], "SELECT 1", out);
    return true;
  }
  const bool is_set = text.starts_with("SET ");
  const bool is_local = text.starts_with("SET LOCAL ");
  const std::string_view rest = text.substr(is_local ? 10 : text.find(' ') + 1);
  std::string name(rest.substr(0, rest.find(' ')));
  std::erase(name, '"');
  if (is_set) {
    assign(name, std::string(rest.substr(rest.rfind(' ') + 1)), is_local);
  } else if (name == "ALL") {
    state_.settings.clear();
    state_.session.clear();
    traces_.erase("setting");
  } else if (name == "ROLE") {
    traces_.erase("role");
  } else {
    state_.settings.erase(name);
    state_.session.erase(name);
  }
  routing::append_command_complete(out, is_set ? "SET" : "RESET");
  return true;
}

namespace {

std::optional<int64_t> user_in(std::string_view text, const std::vector<std::string>& values) {
  if (text.find("media") == std::string_view::npos) return std::nullopt;
  if (!values.empty()) return std::stoll(values[0]);
  const std::string_view key = text.starts_with("INSERT") ? "VALUES (" : "user_id = ";
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  return std::stoll(std::string(text.substr(at + key.size(), 20)));
}

std::string token_in(std::string_view text, const std::vector<std::string>& values) {
  if (values.size() > 1) return values[1];
  const size_t begin = text.find('\'');
  if (begin != std::string_view::npos)
    return std::string(text.substr(begin + 1, text.rfind('\'') - begin - 1));
  return values.empty() ? "" : values[0];
}

}  // namespace

bool ModelServer::run_on_table(Portal& portal, bool is_described, int row_limit, ByteBuffer& out) {
  const std::string_view text = portal.text;
  const std::vector<std::string>& values = portal.values;
  if (text.starts_with("COPY")) {
    is_copying_ = true;
    copied_.clear();
    routing::append_copy_in_response(out, false, 2);
    return true;
  }
  const std::optional<int64_t> user = user_in(text, values);
  if (const auto refused = refusal_of(text, user)) return fail(*refused, "refused", out);
  if (user) check_schema(text, *user);
  const std::string token = token_in(text, values);
  const bool is_insert = text.starts_with("INSERT");
  if (is_insert && !returns_rows(text)) {
    routing::append_command_complete(out, "INSERT 0 1");
    return true;
  }
  if (token.ends_with("slow")) {
    is_running_ = true;
    return true;
  }
  const size_t limit = text.find("LIMIT ");
  const int all_rows = limit == std::string_view::npos ? 1 : std::stoi(std::string(text.substr(limit + 6)));
  const int left = all_rows - portal.sent_rows;
  const bool is_suspended = row_limit > 0 && row_limit <= left;
  const int rows = is_suspended ? row_limit : left;
  portal.sent_rows += rows;
  // SELECT 'token' FROM leave_lock(): PostgreSQL takes some of it back with the transaction, but not all.
  if (const size_t call = text.find("leave_"); call != std::string_view::npos)
    traces_.insert(std::string(text.substr(call + 6, text.find('(', call) - call - 6)));
  if (is_described) {
    const routing::ColumnDescription columns[] = {{"caption"}, {"setting"}};
    routing::append_row_description(out, columns);
  }
  const auto setting = state_.settings.find("work_mem");
  const std::optional<std::string> row[] = {token, setting == state_.settings.end() ? "" : setting->second};
  for (int i = 0; i < rows; ++i) routing::append_data_row(out, row);
  if (token.ends_with("fail")) return fail("22012", "division by zero for " + token, out);
  if (is_suspended) {
    routing::append_empty(out, 's');
    return true;
  }
  if (token.ends_with("late") && status_ == 'I') {  // a deferred constraint, checked when it commits
    if (is_simple_) return fail("23503", "constraint violated by " + token, out);
    late_ = token;
  }
  routing::append_command_complete(out, fmt::format("{} {}", is_insert ? "INSERT 0" : "SELECT", rows));
  return true;
}

std::optional<std::string> ModelServer::refusal_of(std::string_view text, std::optional<int64_t> user) {
  if (role_ == Role::kNode) return std::nullopt;
  if (text.find("leave_") != std::string_view::npos) return refusal_of_node(0);
  if (!user) return text.find("media") == std::string_view::npos ? std::nullopt : std::optional("MZ010");
  return refusal_of_node(rules_->node_of(*user));
}

// What is not known to be clean is left to the default node, 0; so are channels, and who listens stays there.
std::optional<std::string> ModelServer::refusal_of_node(uint16_t node) {
  if (role_ == Role::kNode) return std::nullopt;
  if (settled_.is_listening && node != 0) return "MZ014";
  if (status_ == 'T' && transaction_node_ && *transaction_node_ != node) return "MZ014";
  if (status_ == 'T') transaction_node_ = node;
  return std::nullopt;
}

void ModelServer::check_schema(std::string_view text, int64_t user) {
  if (role_ == Role::kPlain) return;
  if (rules_->node_of(user) != node_) complain(fmt::format("user {} is not on this node", user));
  const std::string name = rules_->schema_of(user) + ".media";
  if (text.find(name) == std::string_view::npos) complain(fmt::format("expected {} in: {}", name, text));
}

void ModelServer::complain(std::string what) {
  if (complaint_.empty()) complaint_ = std::move(what);
}

// --- COPY ---

void ModelServer::on_copy(char type, std::string_view body, ByteBuffer& out) {
  if (type == 'S' || type == 'H') return;  // ignored during COPY
  if (type == 'd') {
    copied_.append(body);
    if (role_ == Role::kNode) return;
    // All rows of a COPY belong to one shard.
    std::optional<std::string> schema;
    for (size_t at = 0, end = 0; (end = copied_.find('\n', at)) != std::string::npos; at = end + 1) {
      const int64_t user = std::stoll(copied_.substr(at));
      if (status_ == 'T' && !transaction_node_) transaction_node_ = rules_->node_of(user);
      const std::string here = rules_->schema_of(user);
      if (!schema) schema = here;
      if (*schema == here) continue;
      is_copying_ = false;
      fail("MZ011", "refused", out);
      return end_group(out);
    }
    return;
  }
  is_copying_ = false;
  if (type == 'c') {
    const auto rows = std::count(copied_.begin(), copied_.end(), '\n');
    for (size_t at = 0; at < copied_.size() && role_ == Role::kNode; at = copied_.find('\n', at) + 1) {
      if (rules_->node_of(std::stoll(copied_.substr(at))) != node_) complain("a copied row of another node");
    }
    routing::append_command_complete(out, fmt::format("COPY {}", rows));
  } else if (type == 'f') {
    fail("57014", "COPY from stdin failed", out);
  } else {
    complain(fmt::format("message {} while COPY data is taken", type));
  }
  end_group(out);
}

}  // namespace mosaic::simulation
