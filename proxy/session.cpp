#include "proxy/session.h"

#include <fmt/format.h>

#include <cassert>

#include "routing/sqlstate.h"
#include "routing/wire/messages.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Parameters;
using routing::Result;
using routing::Route;
using routing::StatementKind;
using routing::StatementPart;
namespace sqlstate = routing::sqlstate;

Session::Session(SessionEnvironment& environment, Outbox& outbox)
    : environment_(environment),
      outbox_(outbox),
      catalog_(environment.catalog),
      settings_(*environment.name_values),
      client_parameters_(environment.name_values->empty()) {}

Session::~Session() {
  while (!replies_.is_empty()) pop_reply();
  drop_all_prepared();
}

// --- login ---

void Session::on_login(const std::vector<std::pair<std::string, std::string>>& settings, uint32_t process_id,
                       uint32_t secret) {
  process_id_ = process_id;
  secret_ = secret;
  settings_.start(settings);
  phase_after_lease_ = Phase::kWelcome;
  if (const pool::NameValuesRef known = environment_.welcomes->find(welcome_key())) {
    finish_welcome(known);
    return;
  }
  lease_attempts_ = 0;
  outbox_.lease_request = LeaseRequest{catalog().default_node(), std::nullopt};
  enter(Phase::kWaiting);
}

// What welcomes are kept by: servers report the same for all application names.
pool::NameValuesRef Session::welcome_key() const {
  return environment_.name_values->with(settings_.wanted(), "application_name", std::nullopt);
}

// The parameters of a welcome as this client sees them.
pool::NameValuesRef Session::with_application_name(const pool::NameValuesRef& parameters) const {
  const std::string* name = settings_.wanted()->find("application_name");
  // As PostgreSQL shows it: a byte that is not printable ASCII becomes a question mark. A client without a
  // name must not see the name of the one that the parameters were learnt with.
  std::string shown = name == nullptr ? "" : name->substr(1);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return environment_.name_values->with(parameters, "application_name", shown);
}

void Session::finish_welcome(const pool::NameValuesRef& parameters) {
  client_parameters_ = with_application_name(parameters);
  for (const auto& [name, value] : client_parameters_->entries()) {
    routing::append_parameter_status(*outbox_.to_client, name, value);
  }
  routing::append_backend_key(*outbox_.to_client, process_id_, secret_);
  routing::append_ready(*outbox_.to_client, 'I');
  come_to_rest();
}

std::string Session::application_name() const {
  const std::string* name = client_parameters_->find("application_name");
  return name != nullptr ? *name : "";
}

bool Session::is_busy() const { return phase_ != Phase::kReady || is_in_transaction(); }

// --- client frames ---

Session::Intake Session::on_client_frame(char type, std::string_view body) {
  assert(can_take());
  if (phase_ == Phase::kCopyUnrouted && (type == 'c' || type == 'f')) {
    end_unrouted_copy(type, body);
    return Intake::kTaken;
  }
  if (phase_ == Phase::kCopyIn) {
    switch (type) {
      case 'c':
      case 'f': {
        if (type == 'c') {
          check_copy_rows({});  // the last row may have no line end
          if (phase_ != Phase::kCopyIn) return Intake::kTaken;
        }
        routing::FrameWriter frame(*outbox_.to_server, type);
        outbox_.to_server->append(body);
        // An extended COPY is ended by a Sync of its own; a simple one by ReadyForQuery.
        enter(replies_.front().kind == Reply::Kind::kQuery ? Phase::kInFlight : Phase::kGroup);
        return Intake::kTaken;
      }
      case 'H':
      case 'S':
        return Intake::kTaken;  // ignored during COPY (PostgreSQL manual, "COPY Operations")
      case 'X':
        break;
      default:
        fail_copy(Error{sqlstate::kProtocolViolation,
                        fmt::format("unexpected message type 0x{:02X} during COPY from stdin", type), "",
                        "finish the COPY with CopyDone or CopyFail first"});
        return Intake::kTaken;
    }
  }
  if (skip_until_sync_ && type != 'S' && type != 'X') return Intake::kTaken;
  const Intake intake = dispatch(type, body);
  // A route, or the failure to get a server for it, belongs to one frame and must not outlive it.
  if (intake == Intake::kTaken && phase_ != Phase::kWaiting) {
    pending_route_.reset();
    lease_error_.reset();
  }
  return intake;
}

Session::Intake Session::dispatch(char type, std::string_view body) {
  switch (type) {
    case 'Q':
      return on_query(body);
    case 'P':
      return on_parse(body);
    case 'B':
      return on_bind(body);
    case 'D':
      return on_describe(body);
    case 'E':
      return on_execute(body);
    case 'C':
      return on_close(body);
    case 'H':
      return on_flush();
    case 'S':
      return on_sync();
    case 'c':
    case 'd':
    case 'f':
      return Intake::kTaken;  // the rest of a COPY that failed
    case 'F':
      refuse_query(Error{sqlstate::kFeatureNotSupported, "the function call protocol is not supported", "",
                         "call the function in a SELECT"});
      return Intake::kTaken;
    case 'X':
      on_client_lost(true);
      outbox_.close_client = true;
      return Intake::kTaken;
    default:
      close_with(Error{sqlstate::kProtocolViolation,
                       fmt::format("invalid frontend message type {}", static_cast<unsigned char>(type)), "",
                       "something between the driver and Mosaic has lost the protocol's framing"});
      return Intake::kTaken;
  }
}

void Session::close_with(const Error& error) {
  if (!outbox_.is_mid_frame) routing::append_error(*outbox_.to_client, error, "FATAL");
  on_client_lost(false);
  outbox_.close_client = true;
}

void Session::begin_statement() {
  if (server_ == nullptr && held_.empty() && catalog_ != environment_.catalog)
    catalog_ = environment_.catalog;
}

AnalyzedStatement Session::analyze(std::string_view text) {
  ++environment_.analyses;
  return environment_.router->analyze(text, catalog());
}

Result<Route> Session::route_of(const AnalyzedStatement& statement, const Parameters& parameters) {
  const routing::NodeId anywhere = server_ != nullptr ? server_->node : catalog().default_node();
  Result<Route> route = routing::route(statement, parameters, settings_.hint(), catalog(), anywhere);
  const auto& parts = statement.plan->parts;
  if (route && parts.size() == 1 && parts[0].kind == StatementKind::kInvalid) {
    // Only the server's error is wanted: the transaction's own server gives it as well as any.
    route->target = Route::Target::kAnyNode;
    route->node = anywhere;
  }
  return route;
}

Session::Intake Session::on_query(std::string_view body) {
  const Result<std::string_view> text = routing::parse_query(body);
  if (!text) {
    close_with(text.error());
    return Intake::kTaken;
  }
  if (owed_parse_ != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  begin_statement();
  const bool is_analyzed =
      pending_route_ && analyzed_serial_ == environment_.analyses && analyzed_.text.data() == text->data();
  if (!is_analyzed) {
    analyzed_ = analyze(*text);
    analyzed_serial_ = environment_.analyses;
  }
  const auto& parts = analyzed_.plan->parts;
  if (!pending_route_) {
    const bool is_here = parts.empty() || (parts.size() == 1 && is_local(parts[0], analyzed_));
    if (is_here) {
      const LocalReply reply =
          parts.empty() ? LocalReply{"", std::nullopt, true} : run_local(parts[0], analyzed_, Parameters());
      append_local(reply);
      if (phase_ == Phase::kClosed) return Intake::kTaken;
      routing::append_ready(*outbox_.to_client, visible_status(transaction_status_));
      come_to_rest();
      return Intake::kTaken;
    }
    // The server's own parser speaks first, also in a failed transaction.
    const bool is_invalid = parts.size() == 1 && parts[0].kind == StatementKind::kInvalid;
    if (!held_.empty() && is_held_failed_ && !is_invalid) {
      reply_error_and_ready(failed_transaction_error());
      return Intake::kTaken;
    }
    if (transaction_status_ == 'E' && parts.size() == 1) {
      // Nothing runs in a failed transaction but its end: the server says so, wherever the statement would
      // go.
      Route here;
      here.node = server_->node;
      pending_route_ = here;
      return send_query(analyzed_, *pending_route_);
    }
    if (parts.size() == 1 && parts[0].copy && parts[0].kind == StatementKind::kCopyIn &&
        parts[0].copy->is_sharded && !parts[0].refusal &&
        settings_.hint().kind == routing::Hint::Kind::kNone &&
        analyzed_.comment_hint.kind == routing::Hint::Kind::kNone && parts[0].copy->key_column >= 0) {
      return begin_unrouted_copy(analyzed_);
    }
    Result<Route> route = route_of(analyzed_, Parameters());
    if (!route) {
      refuse_query(route.error());
      return Intake::kTaken;
    }
    pending_route_ = std::move(*route);
  }
  return send_query(analyzed_, *pending_route_);
}

Session::Intake Session::send_query(const AnalyzedStatement& statement, const Route& route) {
  switch (need_server(route, std::nullopt, runs_outside_held(statement))) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused: {
      const Error error = *std::exchange(lease_error_, nullptr);
      pending_route_.reset();
      refuse_query(error);
      return Intake::kTaken;
    }
    case Server::kReady:
      break;
  }
  send_held(runs_outside_held(statement));
  send_closes();
  {
    routing::FrameWriter frame(*outbox_.to_server, 'Q');
    routing::append_qualified(*outbox_.to_server, statement, route, catalog());
    outbox_.to_server->append_u8(0);
  }
  routing::collect_text_changes(statement, route, catalog(), text_changes_);
  server_->unnamed.reset();  // a simple query destroys the unnamed statement
  replies_.push(Reply{Reply::Kind::kQuery});
  collect_effects(statement, Parameters(), {}, effects_);
  const StatementPart& first = statement.plan->parts[0];
  if (first.kind == StatementKind::kCopyIn && first.copy && first.copy->is_sharded)
    begin_copy_check(*first.copy, route.shard);
  count_query(route);
  pending_route_.reset();
  is_group_pure_ = false;
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

void Session::count_query(const Route& route) {
  ++environment_.traffic[server_->node.value].queries;
  last_shard_ = -1;
  if (route.target != Route::Target::kShard) return;
  last_shard_ = static_cast<int>(route.shard.value);
  if (route.shard.value < environment_.shard_queries.size()) ++environment_.shard_queries[route.shard.value];
}

void Session::collect_effects(const AnalyzedStatement& statement, const Parameters& parameters,
                              std::span<const uint32_t>, std::vector<SettingEffect>& effects) const {
  const auto& parts = statement.plan->parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const StatementPart& part = parts[i];
    if (part.pins_session) effects.push_back({SettingEffect::Kind::kPin, i, "", ""});
    switch (part.kind) {
      case StatementKind::kSet:
      case StatementKind::kReset: {
        if (!part.setting || part.setting->is_local) break;
        const routing::SettingChange& setting = *part.setting;
        if (setting.kind != routing::SettingChange::Kind::kSet) {
          const bool is_all = setting.kind == routing::SettingChange::Kind::kResetAll;
          effects.push_back(
              {is_all ? SettingEffect::Kind::kResetAll : SettingEffect::Kind::kReset, i, setting.name, ""});
          break;
        }
        std::string value;
        if (setting.value_parameter) {
          const auto bound = parameters.find(setting.value_parameter->index);
          if (!bound || bound->is_null) break;
          value = "R" + std::string(bound->bytes);  // text: its text and binary forms are the same bytes
        } else if (setting.value_last > setting.value_first) {
          const uint32_t begin = statement.tokens[setting.value_first].begin;
          const uint32_t end = statement.tokens[setting.value_last - 1].end;
          value =
              (setting.is_set_config ? "C" : "S") + std::string(statement.text.substr(begin, end - begin));
        }
        effects.push_back({SettingEffect::Kind::kSet, i, setting.name, std::move(value)});
        break;
      }
      case StatementKind::kSavepoint:
        effects.push_back({SettingEffect::Kind::kSavepoint, i, part.name, ""});
        break;
      case StatementKind::kRollbackTo:
        effects.push_back({SettingEffect::Kind::kRollbackTo, i, part.name, ""});
        break;
      case StatementKind::kSetTransaction:
        // SET SESSION CHARACTERISTICS lives in the server session; SET TRANSACTION ends with its transaction.
        if (part.last_token - part.first_token > 2 &&
            statement.text.substr(statement.tokens[part.first_token + 1].begin, 7).size() == 7 &&
            (statement.text[statement.tokens[part.first_token + 1].begin] | 0x20) == 's') {
          effects.push_back({SettingEffect::Kind::kPin, i, "", ""});
        }
        break;
      case StatementKind::kDdl:
        effects.push_back({SettingEffect::Kind::kDdl, i, "", ""});
        break;
      default:
        break;
    }
  }
}

// --- leases ---

Session::Server Session::need_server(const Route& route, const std::optional<pool::StatementKey>& preferred,
                                     bool runs_outside) {
  if (lease_error_) return Server::kRefused;
  if (server_ != nullptr) {
    const bool is_there = route.target == Route::Target::kAnyNode || route.node == server_->node;
    // A transaction with one snapshot begins before anything else, even a Parse.
    const bool begins_late = has_sent_ && is_held_snapshot_ && !held_.empty() && !runs_outside;
    if (is_there && !begins_late) return Server::kReady;
    if (is_group_pure_ && transaction_status_ == 'I' && !is_pinned_) {
      // Only Parse and Describe ran there, for which any shard did: let that server go and ask for the right
      // one.
      routing::append_sync(*outbox_.to_server);
      replies_.push(Reply{Reply::Kind::kSync, true});
      phase_after_lease_ = phase_;
      enter(Phase::kInFlight);
      return Server::kWaiting;
    }
    lease_error_ = std::make_unique<Error>(other_node_error(route));
    return Server::kRefused;
  }
  outbox_.lease_request = LeaseRequest{route.node, preferred};
  phase_after_lease_ = phase_;
  lease_attempts_ = 0;
  enter(Phase::kWaiting);
  return Server::kWaiting;
}

Error Session::other_node_error(const Route& route) const {
  const std::string& here = catalog().node_name(server_->node);
  const std::string& there = catalog().node_name(route.node);
  if (is_pinned_) {
    return Error{
        sqlstate::kTransactionNodes,
        fmt::format("this session is pinned to node \"{}\" and can not use node \"{}\"", here, there),
        "LISTEN, a temporary table, a WITH HOLD cursor or a session advisory lock ties it to one server "
        "session",
        "use another connection for it, or release the state with DISCARD ALL"};
  }
  const std::string needs = route.target == Route::Target::kShard
                                ? fmt::format("shard {} on node \"{}\"", route.shard.value, there)
                                : fmt::format("node \"{}\"", there);
  return Error{sqlstate::kTransactionNodes,
               fmt::format("this transaction is on node \"{}\"; the statement needs {}", here, needs),
               last_shard_ >= 0
                   ? fmt::format("the transaction's latest shard is {}; all statements between BEGIN and "
                                 "COMMIT, and between two Syncs of a pipeline, must fall on one node",
                                 last_shard_)
                   : "all statements between BEGIN and COMMIT, and between two Syncs of a pipeline, must "
                     "fall on one node",
               "end this transaction first, and run the statement in one of its own"};
}

void Session::on_lease(pool::ServerMemory& server) {
  assert(phase_ == Phase::kWaiting && server_ == nullptr);
  server_ = &server;
  transaction_status_ = 'I';
  is_group_pure_ = true;
  has_sent_ = false;
  ++environment_.traffic[server.node.value].assignments;
  if (server.settings == settings_.wanted()) {
    on_server_prepared();
    return;
  }
  preparing_error_.reset();
  send_own_query(settings_.statement_to_reach(server.settings));
  enter(Phase::kPreparing);
}

void Session::on_server_prepared() {
  if (phase_after_lease_ == Phase::kWelcome) {
    environment_.welcomes->store(welcome_key(), server_->parameters);
    const pool::NameValuesRef parameters = server_->parameters;
    end_lease(LeaseEnd::kReturn);
    finish_welcome(parameters);
    return;
  }
  tell_parameters(server_->parameters);
  enter(phase_after_lease_);
  if (phase_ == Phase::kCopyUnrouted) route_copy({}, false);
}

void Session::on_lease_failed(const Error& error) {
  assert(phase_ == Phase::kWaiting);
  if (ask_next_node(error)) return;
  if (phase_after_lease_ == Phase::kWelcome) {
    close_with(error);
    return;
  }
  enter(phase_after_lease_);
  if (phase_ == Phase::kCopyUnrouted) {
    fail_copy(error);
    return;
  }
  lease_error_ = std::make_unique<Error>(error);  // the statement is delivered again and finds it
}

// A log-in, or a statement that any node answers alike, does not depend on one node being up.
bool Session::ask_next_node(const Error& error) {
  const bool any_node_will_do = phase_after_lease_ == Phase::kWelcome ||
                                (pending_route_ && pending_route_->target == Route::Target::kAnyNode);
  const auto nodes = static_cast<uint32_t>(catalog().node_names().size());
  if (!any_node_will_do || error.sqlstate != sqlstate::kNodeDown || ++lease_attempts_ >= nodes) return false;
  const uint32_t next = (catalog().default_node().value + lease_attempts_) % nodes;
  outbox_.lease_request = LeaseRequest{routing::NodeId{static_cast<uint16_t>(next)}, std::nullopt};
  return true;
}

void Session::end_lease(LeaseEnd end) {
  outbox_.lease_end = end;
  server_ = nullptr;
  transaction_status_ = 'I';
  is_pinned_ = false;
}

// A query that the client did not ask for. Like any simple query it destroys the unnamed statement.
void Session::send_own_query(std::string_view text) {
  routing::append_query(*outbox_.to_server, text);
  server_->unnamed.reset();
}

// --- the held transaction ---

bool Session::runs_outside_held(const AnalyzedStatement& statement) const {
  if (statement.plan->parts.size() != 1) return false;
  const StatementPart& part = statement.plan->parts[0];
  const bool is_session_setting = (part.kind == StatementKind::kSet || part.kind == StatementKind::kReset) &&
                                  part.setting && !part.setting->is_local;
  // Reads of a transaction with one snapshot belong into it; settings and syntax errors read nothing.
  return is_session_setting || part.kind == StatementKind::kInvalid || (part.is_free && !is_held_snapshot_);
}

void Session::send_held(bool is_free) {
  if (held_.empty() || is_free) return;
  for (const std::string& text : held_) {
    routing::append_parse(*outbox_.to_server, "", text, {});
    {
      routing::FrameWriter bind(*outbox_.to_server, 'B');
      outbox_.to_server->append(
          std::string_view("\0\0\0\0\0\0\0\0", 8));  // unnamed both, no formats, values, formats
    }
    {
      routing::FrameWriter execute(*outbox_.to_server, 'E');
      outbox_.to_server->append(std::string_view("\0\0\0\0\0", 5));
    }
    replies_.push(Reply{Reply::Kind::kParse, true});
    replies_.push(Reply{Reply::Kind::kBind, true});
    replies_.push(Reply{Reply::Kind::kExecute, true});
  }
  server_->unnamed.reset();
  settings_.rebase(server_->settings);
  held_.clear();
  held_savepoints_.clear();
  is_held_snapshot_ = false;
  transaction_status_ = 'T';
  is_group_pure_ = false;
}

char Session::visible_status(char server_status) const {
  if (held_.empty()) return server_status;
  return is_held_failed_ ? 'E' : 'T';
}

Error Session::failed_transaction_error() const {
  if (held_error_) return *held_error_;
  return Error{sqlstate::kInFailedTransaction,
               "current transaction is aborted, commands ignored until end of transaction block", "", ""};
}

// --- refusals ---

void Session::refuse_query(const Error& error) {
  ++environment_.refused_statements;
  if (server_ != nullptr && (transaction_status_ != 'I' || !replies_.is_empty())) {
    // The server must know that its transaction has failed: it is sent a statement that fails, and the client
    // gets our error in place of the server's.
    refusal_ = std::make_unique<Error>(error);
    send_own_query(fmt::format("mosaic refused a statement: {}", error.sqlstate));
    replies_.push(Reply{Reply::Kind::kPoison});
    replies_.push(Reply{Reply::Kind::kQuery});
    enter(Phase::kInFlight);
    return;
  }
  reply_error_and_ready(error);
}

void Session::reply_error_and_ready(const Error& error) {
  routing::append_error(*outbox_.to_client, error);
  if (!held_.empty()) {
    is_held_failed_ = true;
    held_error_.reset();
  }
  routing::append_ready(*outbox_.to_client, visible_status(transaction_status_));
  come_to_rest();
}

// --- endings ---

void Session::on_client_lost(bool is_polite) {
  if (phase_ == Phase::kClosed || phase_ == Phase::kAbandoned) return;
  if (phase_ == Phase::kWaiting) outbox_.stop_waiting = true;
  outbox_.lease_request.reset();
  if (server_ == nullptr) {
    enter(Phase::kClosed);
    return;
  }
  if (is_pinned_ || phase_ == Phase::kPreparing) {
    end_lease(LeaseEnd::kDiscard);
    enter(Phase::kClosed);
    return;
  }
  // Bring the server to rest: what runs is cut short, a COPY is failed, a transaction rolled back.
  const bool is_running = phase_ == Phase::kInFlight;
  if (phase_ == Phase::kCopyIn) {
    const bool is_simple = !replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery;
    routing::append_copy_fail(*outbox_.to_server, "the client has disconnected");
    if (!is_simple) {
      routing::append_sync(*outbox_.to_server);
      replies_.push(Reply{Reply::Kind::kSync});
    }
  } else if (phase_ == Phase::kGroup) {
    routing::append_sync(*outbox_.to_server);
    replies_.push(Reply{Reply::Kind::kSync});
  } else if (phase_ == Phase::kReady || phase_ == Phase::kCopyUnrouted) {
    send_own_query("ROLLBACK");
    replies_.push(Reply{Reply::Kind::kQuery});
  }
  if (is_running && !is_polite) outbox_.cancel_server = true;
  // Whether a SET, or the end of a transaction that holds one, has come through is not looked at any more: a
  // server whose settings are not known must not reach another client.
  const bool changes_settings = settings_.has_marks() || !effects_.empty() ||
                                (!replies_.is_empty() && replies_.front().kind == Reply::Kind::kSettings);
  if (changes_settings && phase_ != Phase::kReady) abandoned_end_ = LeaseEnd::kDiscard;
  settings_.roll_back(&server_->settings);
  effects_.clear();
  enter(Phase::kAbandoned);
}

void Session::on_cancel_request() {
  const Error canceled{sqlstate::kQueryCanceled, "canceling statement due to user request", "", ""};
  if (phase_ == Phase::kWaiting && phase_after_lease_ != Phase::kWelcome) {
    outbox_.stop_waiting = true;
    outbox_.lease_request.reset();
    pending_route_.reset();
    enter(phase_after_lease_);
    if (phase_ == Phase::kCopyUnrouted) {
      fail_copy(canceled);
    } else {
      lease_error_ = std::make_unique<Error>(canceled);
    }
    return;
  }
  if (server_ != nullptr && (phase_ == Phase::kInFlight || phase_ == Phase::kCopyIn ||
                             (phase_ == Phase::kGroup && !replies_.is_empty()))) {
    outbox_.cancel_server = true;
  }
}

void Session::on_server_lost(const Error& error, bool is_mid_frame) {
  assert(server_ != nullptr);
  const Phase before = phase_;
  const bool was_in_transaction = transaction_status_ != 'I';
  const bool was_pinned = is_pinned_;
  const bool is_simple = !replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery;
  // need_server() was letting it go within a group: the Sync was ours, not the client's.
  const bool was_let_go = before == Phase::kInFlight && !replies_.is_empty() &&
                          replies_.back().kind == Reply::Kind::kSync && replies_.back().is_ours;
  const bool skipped_until_sync = skip_until_sync_;
  while (!replies_.is_empty()) pop_reply();
  local_bytes_.clear();
  portals_.clear();
  portal_effects_.clear();
  pending_route_.reset();
  settings_.roll_back(nullptr);
  reset_group();
  end_lease(LeaseEnd::kDiscard);
  if (before == Phase::kAbandoned) {
    enter(Phase::kClosed);
    return;
  }
  if (is_mid_frame || was_pinned) {
    // The client's stream can not be continued, or its session state is lost.
    routing::ByteBuffer unsent;
    if (!is_mid_frame) routing::append_error(*outbox_.to_client, error, "FATAL");
    enter(Phase::kClosed);
    outbox_.close_client = true;
    return;
  }
  if (before == Phase::kPreparing) {
    if (phase_after_lease_ == Phase::kWelcome) {
      phase_ = Phase::kClosed;
      routing::append_error(*outbox_.to_client, error, "FATAL");
      outbox_.close_client = true;
      return;
    }
    enter(phase_after_lease_);
    if (phase_ == Phase::kCopyUnrouted) {
      fail_copy(error);
    } else {
      lease_error_ = std::make_unique<Error>(error);
    }
    return;
  }
  if (was_in_transaction) {
    // The client believes to be in a transaction: it stays in a failed one until it says ROLLBACK, so that
    // nothing that it sends meanwhile is run outside one.
    held_.assign(1, "BEGIN");
    is_held_failed_ = true;
  }
  if (before == Phase::kReady) {
    held_error_ = std::make_unique<Error>(error);  // told with the next statement
    return;
  }
  if (before == Phase::kGroup || was_let_go || (before == Phase::kCopyIn && !is_simple)) {
    // The client's own Sync is still to come. Until then it is told one error, not two.
    if (!skipped_until_sync) routing::append_error(*outbox_.to_client, error);
    skip_until_sync_ = true;
    enter(Phase::kGroup);
    return;
  }
  routing::append_error(*outbox_.to_client, error);
  routing::append_ready(*outbox_.to_client, visible_status('I'));
  skip_until_sync_ = false;
  come_to_rest();
}

void Session::on_idle() {
  if (phase_ != Phase::kReady || server_ != nullptr) return;
  replies_.release_memory();
  local_bytes_.release_if_empty();
  text_changes_ = {};
  effects_ = {};
  copy_.reset();
}

void Session::on_timeout(const Error& error) { close_with(error); }

void Session::come_to_rest() {
  enter(Phase::kReady);
  if (is_shutting_down_) on_shutdown();
}

void Session::on_shutdown() {
  is_shutting_down_ = true;
  // A BEGIN that no server has seen, or a pipeline that asked for nothing yet, is nothing to wait for.
  const bool is_at_rest = (phase_ == Phase::kReady || phase_ == Phase::kGroup) && replies_.is_empty();
  if (!is_at_rest || transaction_status_ != 'I') return;
  close_with(Error{sqlstate::kAdminShutdown, "terminating connection because Mosaic is shutting down", "",
                   "connect again"});
}

}  // namespace mosaic::proxy
