#include "proxy/postgres/session/session.h"

#include <fmt/format.h>

#include <algorithm>
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
      leg_(outbox),
      view_(*environment.name_values),
      statements_(*environment.statements),
      attempt_(*environment.buffers, outbox) {}

Session::~Session() {
  while (!leg_.owed().is_empty()) pop_expectation();
}

// --- login ---

void Session::on_login(std::string_view user,
                       const std::vector<std::pair<std::string, std::string>>& settings, uint32_t process_id,
                       uint32_t secret) {
  view_.login.user = user;
  view_.login.process_id = process_id;
  view_.login.secret = secret;
  view_.start(settings);
  waiting_.phase_after = Phase::kWelcome;
  if (const pool::NameValuesRef known = environment_.welcomes->find(view_.login.user, welcome_key())) {
    finish_welcome(known);
    return;
  }
  ask_for_server(preferred_node(catalog().default_node()), std::nullopt, true);
}

// What welcomes are kept by: servers report the same for all application names.
pool::NameValuesRef Session::welcome_key() const {
  return environment_.name_values->with(view_.wanted(), "application_name", std::nullopt);
}

// The parameters of a welcome as this client sees them.
pool::NameValuesRef Session::with_application_name(const pool::NameValuesRef& parameters) const {
  const std::string* name = view_.wanted()->find("application_name");
  // As PostgreSQL shows it: a byte that is not printable ASCII becomes a question mark. A client without a
  // name must not see the name of the one that the parameters were learnt with.
  std::string shown = name == nullptr ? "" : name->substr(1);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return environment_.name_values->with(parameters, "application_name", shown);
}

void Session::finish_welcome(const pool::NameValuesRef& parameters) {
  view_.set_told(with_application_name(parameters));
  for (const auto& [name, value] : view_.told()->entries()) {
    routing::append_parameter_status(*outbox_.to_client, name, value);
  }
  routing::append_backend_key(*outbox_.to_client, view_.login.process_id, view_.login.secret);
  routing::append_ready(*outbox_.to_client, 'I');
  come_to_rest();
}

std::string Session::application_name() const {
  const std::string* name = view_.told()->find("application_name");
  return name != nullptr ? *name : "";
}

bool Session::is_busy() const { return phase_ != Phase::kReady || is_in_transaction(); }

// --- client frames ---

Session::Intake Session::on_client_frame(char type, std::string_view body) {
  assert(can_take());
  if (is_copying()) return on_copy_frame(type, body);
  if (group_.skips_until_sync && type != 'S' && type != 'X') return Intake::kTaken;
  if (leg_.owed().size() >= environment_.max_pipeline_messages) return drain();
  const Intake intake = dispatch(type, body);
  if (intake == Intake::kTaken) {
    attempt_.keep(type, body, environment_.max_replay_bytes);
    // A route, or the failure to get a server for it, belongs to one frame and must not outlive it.
    if (phase_ != Phase::kWaiting) {
      waiting_.route.reset();
      waiting_.error.reset();
    }
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
    case 'F':
      return on_function_call(body);
    case 'c':
    case 'd':
    case 'f':
      // The rest of a COPY that failed, or the data of one that is about to begin.
      return leg_.owed().is_empty() ? Intake::kTaken : drain();
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
  outbox_.closing_error = std::make_unique<Error>(error);
}

void Session::begin_statement() {
  const bool may_be_anywhere = !transaction_.is_open() || !transaction_.is_bound();
  if (!leg_.is_held() && may_be_anywhere && catalog_ != environment_.catalog) catalog_ = environment_.catalog;
}

AnalyzedStatement Session::analyze(std::string_view text) {
  if (!catalog().has_shadowed_tables()) return environment_.router->analyze(text, catalog(), view_.reading());
  return environment_.router->analyze(text, catalog(), view_.reading(), names_of(scope()));
}

// What decides which table a name means now; nothing where no table is shadowed.
std::string Session::scope() const {
  if (!catalog().has_shadowed_tables()) return {};
  const std::string* role = view_.told()->find("session_authorization");
  return scope_of({view_.search_path(), role == nullptr ? std::string_view() : std::string_view(*role)});
}

Result<Route> Session::route_of(const AnalyzedStatement& statement, const Parameters& parameters) {
  const routing::NodeId anywhere = leg_.is_held() ? leg_.node() : likely_node();
  const auto& parts = statement.plan->parts;
  const bool is_only_an_error = parts.size() == 1 && parts[0].kind == StatementKind::kInvalid;
  if (is_only_an_error || is_answered_in_failed_transaction(statement)) {
    // The server of the transaction says it as well as any.
    Route here;
    here.node = anywhere;
    return here;
  }
  Result<Route> route =
      routing::route(statement, parameters, view_.hint(), catalog(), anywhere, view_.encoding());
  if (!route) return route;
  // A temporary object is where the client made it; the names of others are looked for there as well.
  const bool has_temporary = leg_.remains.pins.has(routing::Pin::kTemporary) ||
                             transaction_.pins.has(routing::Pin::kTemporary) ||
                             (parts.size() == 1 && parts[0].pins.has(routing::Pin::kTemporary));
  if (leg_.is_held() && has_temporary && route->reason == Route::Reason::kDefaultNode) {
    route->target = Route::Target::kAnyNode;
    route->node = anywhere;
  }
  // OIDs mean something on one node only: what a client reads of them it is to find again.
  if (!leg_.is_held() && !transaction_.is_open() && route->reason == Route::Reason::kCatalogRead &&
      route->target == Route::Target::kAnyNode) {
    route->node = preferred_node(catalog().default_node());
  } else if (!leg_.is_held() && route->target == Route::Target::kAnyNode) {
    route->node = idle_node();
  }
  return route;
}

// Nothing runs in a failed transaction but its end: the server says so, wherever the statement would go.
bool Session::is_answered_in_failed_transaction(const AnalyzedStatement& statement) const {
  if (!leg_.is_held() || leg_.status() != 'E' || group_.may_recover) return false;
  const auto& parts = statement.plan->parts;
  if (parts.size() <= 1) return !parts.empty();
  const StatementKind first = parts[0].kind;
  return first != StatementKind::kCommit && first != StatementKind::kRollback &&
         first != StatementKind::kRollbackTo;
}

Session::Intake Session::on_query(std::string_view body) {
  const Result<std::string_view> text = routing::parse_query(body);
  if (!text) {
    close_with(text.error());
    return Intake::kTaken;
  }
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  // PostgreSQL, drop_unnamed_stmt() in exec_simple_query(): if it is not skipped, which is known when all
  // before it has been answered.
  if (statements_.find("") != nullptr) {
    if (!leg_.owed().is_empty()) return drain();
    statements_.assign("", nullptr, nullptr);
  }
  statements_.drop_portal("");
  begin_statement();
  if (is_reading_in_doubt(body)) return refuse(reading_in_doubt_error(), true);
  const bool is_analyzed = waiting_.route && analysis_.generation == environment_.router->generation() &&
                           analysis_.statement.text.data() == text->data();
  if (!is_analyzed) {
    analysis_.statement = analyze(*text);
    analysis_.generation = environment_.router->generation();
  }
  note_statement(analysis_.statement.use);
  const auto& parts = analysis_.statement.plan->parts;
  if (is_sql_prepared(analysis_.statement)) {
    const routing::CompiledStatement kept(analysis_.statement);  // what it names will be analysed as well
    return parts[0].prepare ? run_prepare(kept.view(), true) : run_execute(kept.view());
  }
  if (waiting_.route) return send_query(analysis_.statement, *waiting_.route);

  if (transaction_.is_lost() && !may_end_lost_transaction(analysis_.statement))
    return refuse(failed_transaction_error(), true);
  const bool is_here = parts.empty() ? !leg_.is_held() : parts.size() == 1 && is_local(parts[0]);
  if (is_here) {
    // What fails fails with all that came since the last Sync.
    if (const auto error = parts.empty() ? std::nullopt : local_error(parts[0])) return refuse(*error, true);
    if (leg_.is_busy()) return end_segment();
    const LocalReply reply = parts.empty() ? LocalReply{"", std::nullopt, true}
                                           : run_local(parts[0], analysis_.statement, Parameters());
    if (reply.error) return refuse(*reply.error, true);
    answer_here(reply);
    return Intake::kTaken;
  }
  if (const auto error = shadowed_name_error(analysis_.statement)) return refuse(*error, true);
  if (sees_reset(analysis_.statement)) return refuse(reset_error(), true);
  if (is_unrouted_copy(analysis_.statement)) {
    if (!leg_.owed().is_empty()) return drain();
    if (is_read_only()) return refuse(read_only_copy_error(), true);
    begin_unrouted_copy(analysis_.statement, false);
    return Intake::kTaken;
  }
  if (ends_prepared_transaction(analysis_.statement)) {
    if (waiting_.error) return refuse(*std::exchange(waiting_.error, nullptr), true);
    search_prepared_transaction(analysis_.statement);
    return Intake::kLater;
  }
  Result<Route> route = parts.empty() ? Result<Route>(Route{}) : route_of(analysis_.statement, Parameters());
  if (!route) return refuse(route.error(), true);
  waiting_.route = std::move(*route);
  return send_query(analysis_.statement, *waiting_.route);
}

Session::Intake Session::send_query(const AnalyzedStatement& statement, const Route& route) {
  switch (need_server(route, std::nullopt)) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused: {
      const Error error = *std::exchange(waiting_.error, nullptr);
      waiting_.route.reset();
      return refuse(error, true);
    }
    case Server::kReady:
      break;
  }
  if (comes_behind_ours(statement)) return Intake::kLater;
  const bool may_bind = may_bind_query();
  begin_on_leg(true);
  tell_of_what_ran_here(statement);
  clear_foreign_sequences(statement);
  const size_t query_at = leg_.out().size();
  {
    routing::FrameWriter frame(leg_.out(), 'Q');
    routing::append_qualified(leg_.out(), statement, route, catalog());
    leg_.out().append_u8(0);
  }
  routing::collect_text_changes(statement, route, catalog(), analysis_.text_changes);
  std::unique_ptr<Effects> effects = effects_of(statement, Parameters());
  note_sent(statement, effects.get());
  if (!statement.plan->parts.empty()) {
    const StatementPart& first = statement.plan->parts[0];
    if (first.kind == StatementKind::kCopyIn && first.copy && first.copy->is_sharded)
      begin_copy(*first.copy, route.shard);
  }
  count_query(route);
  if (!may_bind || effects || !send_bound(statement, route, query_at)) {
    leg_.server().unnamed.reset();  // a simple query destroys the unnamed statement
    portals_.has_unnamed = false;
    leg_.expect(Kind::kQuery).effects = std::move(effects);
  }
  begin_timing(leg_.owed().back(), statement.use);
  waiting_.route.reset();
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

// Functions are called by their OID, which means something on one node only: large objects, the one use of
// this protocol that is left (PostgreSQL manual, "Function Call"), live on the default node.
Session::Intake Session::on_function_call(std::string_view body) {
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  begin_statement();
  if (transaction_.is_lost()) return refuse(failed_transaction_error(), true);
  Route route;
  route.target = Route::Target::kNode;
  route.node = leg_.is_held() && leg_.status() == 'E' ? leg_.node() : catalog().default_node();
  switch (need_server(route, std::nullopt)) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused:
      return refuse(*std::exchange(waiting_.error, nullptr), true);
    case Server::kReady:
      break;
  }
  begin_on_leg();
  {
    routing::FrameWriter frame(leg_.out(), 'F');
    leg_.out().append(body);
  }
  transaction_.bind();
  constexpr uint32_t kFirstUserOid = 16384;  // FirstNormalObjectId, src/include/access/transam.h
  routing::BodyReader reader(body);
  if (reader.read_u32() >= kFirstUserOid) transaction_.traces.add(routing::Trace::kUnknown);
  analysis_.text_changes.clear();
  count_query(route);
  begin_timing(leg_.expect(Kind::kQuery), nullptr);
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

void Session::note_sent(const AnalyzedStatement& statement, const Effects* effects) {
  const auto changes_settings = [](const Effect& effect) {
    return effect.kind == Effect::Kind::kSet || effect.kind == Effect::Kind::kReset ||
           effect.kind == Effect::Kind::kResetAll;
  };
  if (effects != nullptr) {
    const auto& all = effects->on_complete;
    group_.changes_settings |= std::any_of(all.begin(), all.end(), changes_settings);
  }
  note_reading_changes(statement);
  const bool runs = !is_answered_in_failed_transaction(statement);
  // While definitions are being read again nothing is known of what statements run.
  const bool is_stale = environment_.schema_changes != nullptr &&
                        environment_.schema_changes->count() != catalog().definitions_as_of();
  if (statement.plan->is_plain && runs && !is_stale) {
    transaction_.on_plain_sent(statement.plan->parts[0].is_free);
    return;
  }
  for (const StatementPart& part : statement.plan->parts) {
    const bool takes_back = part.kind == StatementKind::kRollback || part.kind == StatementKind::kRollbackTo;
    if (takes_back || part.ends_transaction()) group_.may_recover = true;
    if (part.closes_portals) statements_.drop_portals();
    if (takes_back && view_.has_marks()) group_.changes_settings = true;
    if (!runs && !group_.may_recover) continue;  // it will only fail
    // What is parsed behind it, before it is confirmed, is another statement than the same text before.
    if (part.kind == StatementKind::kDdl || part.pins.has(routing::Pin::kTemporary))
      environment_.statements->forget_schema();
    transaction_.on_sent(part);
    const bool may_run_anything = part.kind == StatementKind::kQuery || part.kind == StatementKind::kCopyIn ||
                                  part.kind == StatementKind::kCopyOut ||
                                  part.kind == StatementKind::kUtility;
    if (is_stale && may_run_anything && !part.is_free) transaction_.traces.add(routing::Trace::kUnknown);
    if (part.setting && part.setting->name == "seed") transaction_.traces.add(routing::Trace::kUnknown);
    // SET LOCAL, also TO DEFAULT, and set_config(..., true).
    if (part.setting && part.setting->is_local && affects_parsing(part.setting->name))
      transaction_.has_local_settings = true;
    if (part.setting && part.setting->is_local && part.setting->name == "search_path")
      transaction_.has_local_search_path = true;
  }
}

void Session::come_to_rest() {
  times_.began_us = times_.waited_us = times_.waiting_us = 0;
  enter(Phase::kReady);
  if (is_shutting_down_) on_shutdown();
}

}  // namespace mosaic::proxy
