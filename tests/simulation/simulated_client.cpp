#include "tests/simulation/simulated_client.h"

#include <fmt/format.h>

#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::simulation {

using routing::ByteBuffer;
using routing::FrameWriter;

namespace {

std::string frame_bytes(char type, std::string_view body = {}) {
  ByteBuffer out;
  {
    FrameWriter frame(out, type);
    out.append(body);
  }
  return std::string(out.view());
}

const std::string kSync = frame_bytes('S'), kFlush = frame_bytes('H');
const std::string kExecute = frame_bytes('E', std::string_view("\0\0\0\0\0", 5));
constexpr size_t kHistoryMax = 12;  // steps shown with a complaint
constexpr const char* kSelectText = "SELECT caption FROM media WHERE user_id = $1 AND caption = $2";
constexpr const char* kInsertText = "INSERT INTO media (user_id, caption) VALUES ($1, $2)";

std::string target_bytes(char type, char kind, std::string_view name) {
  return frame_bytes(type, kind + std::string(name) + '\0');
}

}  // namespace

SimulatedClient::SimulatedClient(int number, const Rules& rules, std::vector<std::vector<int64_t>> users,
                                 Random& random)
    : number_(number),
      rules_(rules),
      users_(std::move(users)),
      random_(random),
      model_(ModelServer::Role::kPlain, rules, 0) {}

// --- building ---

std::string SimulatedClient::query_bytes(std::string_view text) const {
  return frame_bytes('Q', std::string(text) + '\0');
}

std::string SimulatedClient::parse_bytes(std::string_view name, std::string_view text) const {
  ByteBuffer out;
  const uint32_t types[] = {20, 25};
  const bool has_values = text.find('$') != std::string_view::npos;
  routing::append_parse(out, name, text,
                        has_values ? std::span<const uint32_t>(types) : std::span<const uint32_t>());
  return std::string(out.view());
}

std::string SimulatedClient::bind_bytes(std::string_view statement, int64_t user,
                                        std::string_view token) const {
  ByteBuffer out;
  {
    FrameWriter frame(out, 'B');
    out.append_c_string("");
    out.append_c_string(statement);
    out.append_u16(0);
    out.append_u16(user == 0 ? 0 : 2);
    if (user != 0) {
      for (const std::string& value : {std::to_string(user), std::string(token)}) {
        out.append_u32(static_cast<uint32_t>(value.size()));
        out.append(value);
      }
    }
    out.append_u16(0);
  }
  return std::string(out.view());
}

int64_t SimulatedClient::user() {
  if (status_ == 'I') node_ = model_.is_listening() ? 0 : random_.below(users_.size());
  return users_[node_][random_.below(users_[node_].size())];
}

// Says whose it is: no other client may ever see it.
std::string SimulatedClient::token(std::string_view suffix) {
  return fmt::format("c{}-{}{}", number_, ++tokens_, suffix);
}

std::string SimulatedClient::select_text(int64_t user, std::string_view token) {
  std::string text =
      fmt::format("SELECT caption FROM media WHERE user_id = {} AND caption = '{}'", user, token);
  if (random_.one_in(4)) text += fmt::format(" LIMIT {}", random_.below(40));
  return text;
}

// Any node answers it alike.
std::string SimulatedClient::constant_text(std::string_view token) {
  return fmt::format("SELECT '{}' AS caption", token);
}

std::string SimulatedClient::execute_bytes(uint32_t row_limit) const {
  ByteBuffer out;
  {
    FrameWriter frame(out, 'E');
    out.append_c_string("");
    out.append_u32(row_limit);
  }
  return std::string(out.view());
}

std::string SimulatedClient::insert_text(int64_t user, std::string_view token) {
  return fmt::format("INSERT INTO media (user_id, caption) VALUES ({}, '{}') RETURNING caption", user, token);
}

void SimulatedClient::add(std::string bytes, Wait wait, bool only_if_ok) {
  steps_.push_back({std::move(bytes), wait, only_if_ok});
}

// --- acts ---

void SimulatedClient::plan() {
  is_slow_ = false;
  if (is_disturbed_) return plan_resync();
  if (is_finishing_) {
    if (status_ != 'I') query("ROLLBACK");
    return;
  }
  switch (random_.below(20)) {
    case 15:
    case 16:
      return plan_session_statement();
    case 17:
      return plan_portions();
    case 18:
      return plan_names();
    case 19:
      return query(constant_text(token(random_.one_in(8) ? "fail" : "")));
    case 0:
    case 1:
    case 2:
      return plan_simple();
    case 12:
    case 13:
    case 14:
      return plan_insert();
    case 3:
    case 4:
    case 5:
      return plan_transaction_statement();
    case 6:
      return plan_copy();
    case 7:
    case 8:
      return plan_prepared();
    case 9:
      return plan_flush();
    case 10:
      return plan_pipeline();
    default:
      break;
  }
  if (status_ == 'I' && random_.one_in(6)) {
    add(frame_bytes('X'), Wait::kNothing);
  } else if (random_.one_in(4)) {
    is_slow_ = true;
    query(random_.one_in(3) ? insert_text(user(), token("slow")) : select_text(user(), token("slow")));
  } else {
    query(fmt::format("SET work_mem TO {}", random_.below(5)));
  }
}

void SimulatedClient::plan_resync() {
  is_resyncing_ = true;
  query("ROLLBACK");
  query("DISCARD ALL");
}

void SimulatedClient::plan_simple() {
  switch (random_.below(7)) {
    case 0:
      return query(select_text(user(), token("fail")));
    case 1:
      return query(fmt::format("INSERT INTO media (user_id, caption) VALUES ({}, '{}')", user(), token()));
    case 2:
      return query(fmt::format("SELECT caption FROM media WHERE caption = '{}'", token()));  // no key
    case 3:
      return query(random_.one_in(2) ? "" : "RESET work_mem");
    case 4: {
      const std::string first = select_text(user(), token());
      // Two statements are one transaction: on one node.
      const size_t node = node_;
      const int64_t second = users_[node][random_.below(users_[node].size())];
      return query(first + "; " + select_text(second, token(random_.one_in(3) ? "fail" : "")));
    }
    default:
      return query(select_text(user(), token()));
  }
}

// Comes often but for its literals: servers keep its plan.
void SimulatedClient::plan_insert() {
  constexpr const char* kSuffixes[] = {"", "", "", "", "fail", "odd", "late"};
  query(insert_text(user(), token(kSuffixes[random_.below(std::size(kSuffixes))])) +
        (random_.one_in(6) ? ", typed" : ""));
}

void SimulatedClient::plan_transaction_statement() {
  if (status_ == 'I') {
    user();  // chooses the node
    if (random_.one_in(3)) {
      add(parse_bytes("", "BEGIN") + bind_bytes("", 0, "") + target_bytes('D', 'P', "") + kExecute + kSync);
    } else {
      query("BEGIN");
    }
    return;
  }
  const char name = random_.one_in(2) ? 'a' : 'b';
  switch (random_.below(11)) {
    case 7:
    case 8:
      return query(fmt::format("RELEASE SAVEPOINT {}", name));
    case 9:
      // One that has failed before it had a node is chained on any.
      if (model_.status() != 'T' || !model_.transaction_node()) return query("ROLLBACK");
      return query(random_.one_in(2) ? "COMMIT AND CHAIN" : "ROLLBACK AND CHAIN");
    case 10:
      return query("COMMIT; BEGIN");
    case 0:
      return query(fmt::format("SAVEPOINT {}", name));
    case 1:
      return query(fmt::format("ROLLBACK TO {}", name));
    case 2: {  // of another node
      if (model_.status() != 'T') return query("ROLLBACK");
      const size_t other = (node_ + 1) % users_.size();
      const auto& users = users_[other];
      if (!model_.transaction_node()) node_ = other;  // it is the first to name one
      return query(select_text(users[random_.below(users.size())], token()));
    }
    case 3:
      return query("ROLLBACK");
    case 4:
      add(parse_bytes("", "COMMIT") + bind_bytes("", 0, "") + kExecute + kSync);
      return;
    default:
      return query("COMMIT");
  }
}

void SimulatedClient::plan_copy() {
  add(query_bytes("COPY media (user_id, caption) FROM STDIN"), Wait::kCopy);
  std::string bytes, rows;
  const int64_t first = user();
  for (uint64_t left = random_.below(4); left > 0; --left) {
    const int64_t other = users_[node_][random_.below(users_[node_].size())];
    rows += fmt::format("{}\t{}\n", random_.one_in(6) ? other : first, token());
  }
  while (!rows.empty()) {
    const size_t count = 1 + random_.below(rows.size());
    bytes += frame_bytes('d', rows.substr(0, count));
    rows.erase(0, count);
  }
  bytes += random_.one_in(4) ? frame_bytes('f', std::string("enough\0", 7)) : frame_bytes('c');
  add(bytes, Wait::kReady, true);
}

void SimulatedClient::plan_prepared() {
  const std::string name = random_.one_in(3) ? "" : fmt::format("s{}", random_.below(5));
  std::string bytes;
  if (name.empty() || random_.one_in(2)) {
    if (!name.empty() && !random_.one_in(4)) bytes += target_bytes('C', 'S', name);
    bytes += parse_bytes(name, random_.one_in(3) ? kInsertText : kSelectText);
    if (random_.one_in(3)) bytes += target_bytes('D', 'S', name);
    if (random_.one_in(4)) bytes += kSync;
  }
  bytes += bind_bytes(name, user(), token(random_.one_in(8) ? "fail" : ""));
  if (random_.one_in(2)) bytes += target_bytes('D', 'P', "");
  bytes += kExecute + kSync;
  add(bytes);
}

// Parse and Describe first, Bind after the answer, as drivers do that want the types.
void SimulatedClient::plan_flush() {
  add(parse_bytes("", kSelectText) + target_bytes('D', 'S', "") + kFlush, Wait::kDescription);
  add(bind_bytes("", user(), token()) + kExecute, Wait::kNothing, true);
  add(kSync);
}

void SimulatedClient::plan_pipeline() {
  std::string bytes;
  user();
  for (uint64_t left = 1 + random_.below(4); left > 0; --left) {
    const int64_t of_node = users_[node_][random_.below(users_[node_].size())];
    bytes += parse_bytes("", random_.one_in(3) ? kInsertText : kSelectText) +
             bind_bytes("", of_node, token(random_.one_in(10) ? "fail" : "")) + kExecute;
    if (random_.one_in(8)) bytes += kFlush;
    if (random_.one_in(3)) bytes += kSync;
    if (random_.one_in(8)) bytes += target_bytes('C', 'P', "");
    if (random_.one_in(6)) bytes += statement_bytes(constant_text(token()));
    if (random_.one_in(8)) bytes += statement_bytes(fmt::format("DEALLOCATE s{}", random_.below(5)));
    if (random_.one_in(10)) bytes += statement_bytes(fmt::format("SET work_mem TO {}", random_.below(5)));
  }
  add(bytes + kSync);
}

std::string SimulatedClient::statement_bytes(std::string_view text) const {
  return parse_bytes("", text) + bind_bytes("", 0, "") + kExecute;
}

// What it leaves in the server session, known to Mosaic or not.
void SimulatedClient::plan_session_statement() {
  constexpr const char* kTraces[] = {"lock", "table", "cursor", "role", "setting", "sequence", "plan"};
  switch (random_.below(6)) {
    case 0:
      return query(fmt::format("SELECT set_config('work_mem', '{}', {})", token(),
                               random_.one_in(2) ? "true" : "false"));
    case 1:
      if (status_ == 'I') break;  // a warning, and nothing else
      return query(fmt::format("SET LOCAL work_mem TO {}", random_.below(5)));
    case 2:
      if (status_ == 'I' && random_.one_in(3)) return query("LISTEN photos");
      break;
    default:
      break;
  }
  if (model_.is_listening() && status_ == 'I' && random_.one_in(2)) return query("UNLISTEN photos");
  const std::string text = fmt::format("SELECT '{}' FROM leave_{}()", token(random_.one_in(6) ? "fail" : ""),
                                       kTraces[random_.below(std::size(kTraces))]);
  // In a pipeline it would be refused at another message.
  const bool is_elsewhere = status_ != 'I' && model_.transaction_node().value_or(0) != 0;
  if (model_.status() == 'T' && !is_elsewhere) node_ = 0;
  if (!is_elsewhere && random_.one_in(3)) return add(statement_bytes(text) + kSync);
  query(text);
}

// A statement in portions, and what comes in between.
void SimulatedClient::plan_portions() {
  const uint64_t all = 1 + random_.below(6);
  std::string bytes = parse_bytes("", fmt::format("{} LIMIT {}", kSelectText, all)) +
                      bind_bytes("", user(), token(random_.one_in(8) ? "fail" : ""));
  for (uint64_t left = 1 + random_.below(3); left > 0; --left) {
    bytes += execute_bytes(static_cast<uint32_t>(1 + random_.below(4)));
    if (random_.one_in(4)) bytes += kFlush;
    if (random_.one_in(4)) bytes += target_bytes('C', 'S', fmt::format("s{}", random_.below(5)));
  }
  if (random_.one_in(2)) bytes += kExecute;
  if (random_.one_in(3)) bytes += statement_bytes(fmt::format("SET work_mem TO {}", random_.below(5)));
  add(bytes + kSync);
}

// Names that are given and taken where an error may come before.
void SimulatedClient::plan_names() {
  const auto name = [this] { return fmt::format("s{}", random_.below(5)); };
  std::string bytes;
  user();  // chooses the node
  for (uint64_t left = 1 + random_.below(5); left > 0; --left) {
    switch (random_.below(6)) {
      case 0:
        bytes += target_bytes('C', 'S', name());
        break;
      case 1:
        bytes += statement_bytes("DEALLOCATE " + (random_.one_in(6) ? "ALL" : name()));
        break;
      case 2:
        bytes += bind_bytes(name(), user_on_node(), token(random_.one_in(4) ? "fail" : "")) + kExecute;
        break;
      case 3:
        // Of one that was never described no server can tell in a failed transaction.
        if (model_.status() != 'I') break;
        bytes += target_bytes('D', 'S', name());
        break;
      default:
        bytes += parse_bytes(name(), random_.one_in(3) ? kInsertText : kSelectText);
    }
    if (random_.one_in(4)) bytes += random_.one_in(2) ? kFlush : kSync;
  }
  if (random_.one_in(5)) return query("DEALLOCATE " + (random_.one_in(4) ? "ALL" : name()));
  add(bytes + kSync);
}

// Where the rest of the act is.
int64_t SimulatedClient::user_on_node() { return users_[node_][random_.below(users_[node_].size())]; }

// --- the conversation ---

bool SimulatedClient::is_answered() const {
  switch (wait_) {
    case Wait::kNothing:
      return true;
    case Wait::kReady:
      return owed_ready_ == 0;
    case Wait::kCopy:
      return answer_ == 'G' || owed_ready_ == 0;
    case Wait::kDescription:
      return answer_ == 'T' || answer_ == 'n' || answer_ == 'E';
  }
  return false;
}

std::string SimulatedClient::next_bytes() {
  if (has_left_ || !is_answered()) return {};
  const bool was_ok = answer_ != 'E' && (wait_ != Wait::kCopy || answer_ == 'G');
  wait_ = Wait::kNothing;
  if (steps_.empty()) plan();
  if (steps_.empty()) return {};
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  if (step.only_if_ok && !was_ok) return {};
  has_left_ = step.bytes[0] == 'X';
  wait_ = step.wait;
  if (step.wait != Wait::kNothing || !step.only_if_ok) answer_ = 0;
  if (!has_left_) tell_model(step.bytes);
  remember(step.bytes);
  return step.bytes;
}

void SimulatedClient::tell_model(std::string_view bytes) {
  for (std::string_view rest = bytes; !rest.empty();) {
    const auto header = routing::find_frame_header(rest);
    if (header->type == 'Q' || header->type == 'S') ++owed_ready_;
    rest.remove_prefix(header->frame_bytes());
  }
  ByteBuffer in;
  in.append(bytes);
  model_.run(in, expected_);
  model_.cancel(expected_);  // a statement that is slow is one that will be cancelled
  // Once disturbed the two go apart, until the client begins afresh.
  if (!is_disturbed_ && !model_.complaint().empty()) complain("the client itself: " + model_.complaint());
}

void SimulatedClient::on_bytes(std::string_view bytes) {
  received_.append(bytes);
  for (;;) {
    const auto header = routing::find_frame_header(received_.view());
    if (!header || received_.size() < header->frame_bytes()) return;
    const std::string frame(received_.view().substr(0, header->frame_bytes()));
    received_.consume(frame.size());
    on_frame(header->type, std::string_view(frame).substr(routing::kFrameHeaderBytes));
  }
}

void SimulatedClient::on_frame(char type, std::string_view body) {
  if (type == 'N' || type == 'S' || type == 'K') return;
  if (type == 'D') {
    const size_t at = body.find('c');
    const std::string owner = fmt::format("c{}-", number_);
    if (at == std::string_view::npos || !body.substr(at).starts_with(owner))
      complain("a row of another client: " + std::string(body));
  }
  answer_ = type;
  if (!is_disturbed_) compare(type, body);
  if (type != 'Z') return;
  status_ = body[0];
  if (owed_ready_ == 0) return complain("a ReadyForQuery too much");
  --owed_ready_;
  if (is_resyncing_ && owed_ready_ == 0 && steps_.empty()) {
    // Behind DISCARD ALL: like a new connection.
    if (status_ != 'I') complain("a transaction that ROLLBACK did not end");
    start_afresh();
  }
}

void SimulatedClient::compare(char type, std::string_view body) {
  if (is_finishing_ && type == 'E' && routing::parse_error_fields(body).sqlstate == "57P01") {
    is_disturbed_ = true;  // the shutdown may come before any statement
    return;
  }
  if (is_slow_ && type == 'T') return;  // how far it comes before its cancel is not said
  const auto header = routing::find_frame_header(expected_.view());
  if (!header) return complain(fmt::format("got {} where nothing was owed", type));
  const std::string wanted(expected_.view().substr(routing::kFrameHeaderBytes, header->body_bytes()));
  expected_.consume(header->frame_bytes());
  ++compared_frames_;
  bool is_same = header->type == type;
  if (is_same && type == 'E') {
    const routing::Error ours = routing::parse_error_fields(body),
                         theirs = routing::parse_error_fields(wanted);
    // Words are compared where they are the server's own.
    is_same =
        ours.sqlstate == theirs.sqlstate && (ours.sqlstate != "22012" || ours.message == theirs.message);
  } else if (is_same) {
    is_same = body == wanted;
  }
  if (!is_same)
    complain(fmt::format("expected {} \"{}\", got {} \"{}\"", header->type, wanted, type, std::string(body)));
}

// --- what happens to it ---

void SimulatedClient::on_connect() {
  start_afresh();
  routing::append_ready(expected_, 'I');
  owed_ready_ = 1;
  wait_ = Wait::kReady;
}

void SimulatedClient::start_afresh() {
  history_.clear();
  model_ = ModelServer(ModelServer::Role::kPlain, rules_, 0);
  expected_.clear();
  received_.clear();
  steps_.clear();
  wait_ = Wait::kNothing;
  owed_ready_ = 0;
  status_ = 'I';
  is_disturbed_ = may_close_ = has_left_ = is_slow_ = is_resyncing_ = false;
}

void SimulatedClient::on_closed() {
  if (!may_close_ && !is_finishing_ && !has_left_) complain("closed without a reason");
}

void SimulatedClient::disturb(bool may_close) {
  is_disturbed_ = true;
  is_resyncing_ = false;
  may_close_ = may_close_ || may_close;
}

void SimulatedClient::remember(std::string_view bytes) {
  std::string shown;
  for (const char c : bytes) shown += c < ' ' ? '.' : c;
  history_.push_back(std::move(shown));
  if (history_.size() > kHistoryMax) history_.pop_front();
}

std::string SimulatedClient::story() const {
  return fmt::format(
      "waits {}, owed ready {}, answer {}, disturbed {}, resyncing {}, finishing {}, steps {}:\n         {}",
      static_cast<int>(wait_), owed_ready_, answer_ == 0 ? '-' : answer_, is_disturbed_, is_resyncing_,
      is_finishing_, steps_.size(), fmt::join(history_, "\n         "));
}

void SimulatedClient::complain(std::string what) {
  if (complaint_.empty())
    complaint_ = fmt::format("client {}: {}\n  after: {}", number_, what, fmt::join(history_, "\n         "));
}

}  // namespace mosaic::simulation
