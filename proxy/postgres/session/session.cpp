#include "proxy/postgres/session/session.h"

#include <fmt/format.h>

#include <cassert>

#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

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
  follow_parameters();
}

AnalyzedStatement Session::analyze(std::string_view text) {
  return environment_.router->analyze(text, catalog(), reading_);
}

Result<Route> Session::route_of(const AnalyzedStatement& statement, const Parameters& parameters) {
  const routing::NodeId anywhere = server_ != nullptr ? server_->node : catalog().default_node();
  Result<Route> route =
      routing::route(statement, parameters, settings_.hint(), catalog(), anywhere, encoding_);
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
  if (is_reading_in_doubt_) {
    refuse_query(reading_in_doubt_error());
    return Intake::kTaken;
  }
  const bool is_analyzed = pending_route_ && analyzed_generation_ == environment_.router->generation() &&
                           analyzed_.text.data() == text->data();
  if (!is_analyzed) {
    analyzed_ = analyze(*text);
    analyzed_generation_ = environment_.router->generation();
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
  switch (need_server(route, std::nullopt, held_use(statement))) {
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
  const bool may_bind = may_bind_query();
  send_held(held_use(statement));
  send_closes();
  const size_t query_at = outbox_.to_server->size();
  {
    routing::FrameWriter frame(*outbox_.to_server, 'Q');
    routing::append_qualified(*outbox_.to_server, statement, route, catalog());
    outbox_.to_server->append_u8(0);
  }
  routing::collect_text_changes(statement, route, catalog(), text_changes_);
  collect_effects(statement, Parameters(), {}, effects_);
  note_local_settings(statement);
  note_reading_changes(statement);
  const StatementPart& first = statement.plan->parts[0];
  if (first.kind == StatementKind::kCopyIn && first.copy && first.copy->is_sharded)
    begin_copy_check(*first.copy, route.shard);
  count_query(route);
  if (!may_bind || !send_bound(statement, route, query_at)) {
    server_->unnamed.reset();  // a simple query destroys the unnamed statement
    replies_.push(Reply{Reply::Kind::kQuery});
  }
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
          // It will be said again to servers that may read plain strings otherwise.
          value = (setting.is_set_config ? "C" : "S") +
                  routing::portable_text_of(
                      statement.text,
                      statement.tokens.subspan(setting.value_first, setting.value_last - setting.value_first),
                      statement.reading);
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
                                     HeldUse held_use) {
  if (lease_error_) return Server::kRefused;
  if (server_ != nullptr) {
    const bool is_there = route.target == Route::Target::kAnyNode || route.node == server_->node;
    // A transaction with one snapshot begins before anything else, even a Parse.
    const bool begins_late = has_sent_ && is_held_snapshot_ && !held_.empty() && held_use == HeldUse::kBegin;
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
  if (!ask_next_node(error)) go_on_without_server(error);
}

// The server that was waited for, or prepared, is not to be had.
void Session::go_on_without_server(const Error& error) {
  if (phase_after_lease_ == Phase::kWelcome) {
    close_with(error);
    return;
  }
  enter(phase_after_lease_);
  if (phase_ == Phase::kCopyUnrouted) {
    fail_copy(error);
  } else {
    lease_error_ = std::make_unique<Error>(error);  // the statement is delivered again and finds it
  }
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
    fail_held();
    held_error_.reset();
  }
  routing::append_ready(*outbox_.to_client, visible_status(transaction_status_));
  come_to_rest();
}

void Session::come_to_rest() {
  enter(Phase::kReady);
  if (is_shutting_down_) on_shutdown();
}

}  // namespace mosaic::proxy
