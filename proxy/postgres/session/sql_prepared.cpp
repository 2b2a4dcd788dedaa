// PREPARE and EXECUTE of SQL. A client's names are Mosaic's, whichever way they were given (PostgreSQL keeps
// one list too): PREPARE gives one to a statement, which servers know by another (server_statements.cpp); an
// EXECUTE goes where the statement that it names goes with these arguments, with the name exchanged.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/execute_arguments.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::ExecuteCall;
using routing::Parameters;
using routing::PrepareTarget;
using routing::Result;
using routing::Route;
using routing::StatementKind;
using routing::StatementPart;
using routing::TokenRange;
namespace sqlstate = routing::sqlstate;

namespace {

struct HeldStatement {
  StatementCache& cache;
  PreparedStatement& statement;
  ~HeldStatement() { cache.release(statement); }
};

std::string_view before(const AnalyzedStatement& statement, TokenRange range) {
  return statement.text.substr(0, statement.tokens[range.first].begin);
}
std::string_view behind(const AnalyzedStatement& statement, TokenRange range) {
  return statement.text.substr(statement.tokens[range.last - 1].end);
}

// What EXECUTE may name: SQL's PREPARE takes nothing else, a driver's Parse does.
bool may_be_executed(const AnalyzedStatement& prepared) {
  const auto& parts = prepared.plan->parts;
  return parts.size() == 1 &&
         (parts[0].kind == StatementKind::kQuery || (parts[0].setting && parts[0].setting->is_set_config));
}

}  // namespace

bool Session::is_sql_prepared(const AnalyzedStatement& statement) const {
  if (statement.plan->is_plain) return false;
  const auto& parts = statement.plan->parts;
  return parts.size() == 1 && (parts[0].prepare || parts[0].execute) && !parts[0].refusal &&
         !is_answered_in_failed_transaction(statement) && !transaction_.is_lost();
}

// --- PREPARE ---

// `is_simple`: a query of its own, else the Execute of a portal. `statement` must outlive other analyses.
Session::Intake Session::run_prepare(const AnalyzedStatement& statement, bool is_simple) {
  const StatementPart& part = statement.plan->parts[0];
  const PrepareTarget& target = *part.prepare;
  const std::string_view text = routing::text_of(statement, target.statement);
  if (const auto error = naming_error(part.name, text.size())) return refuse(*error, is_simple);
  StatementCache& cache = *environment_.statements;
  const HeldStatement held{
      cache, cache.acquire({part.name, text, {}}, *environment_.router, catalog(), view_.reading(),
                           {routing::text_of(statement, target.types), target.type_count}, scope(),
                           parsed_under_now())};
  PreparedStatement& prepared = held.statement;
  const bool is_accepted = is_known(prepared);
  if (!is_accepted) {
    if (const auto error = shadowed_name_error(prepared.compiled->view())) return refuse(*error, is_simple);
    if (!waiting_.route) {
      Result<Route> route = describing_route(prepared);
      if (!route) return refuse(route.error(), is_simple);
      waiting_.route = std::move(*route);
    }
    const Server server = need_server(*waiting_.route, std::nullopt);
    if (server == Server::kWaiting) return Intake::kLater;
    if (server == Server::kRefused) return refuse(*std::exchange(waiting_.error, nullptr), is_simple);
  }
  const pool::StatementKey key = is_accepted ? pool::StatementKey{} : key_of(prepared, *waiting_.route);
  if (is_accepted || leg_.server().statements.touch(key)) {
    if (is_simple && leg_.is_busy()) return end_segment();
    cache.retain(prepared);
    statements_.assign(part.name, &prepared, nullptr);
    transaction_.has_snapshot_here = true;
    if (is_simple) {
      answer_here({"PREPARE", std::nullopt});
    } else {
      append_local({"PREPARE", std::nullopt});
    }
    return Intake::kTaken;
  }

  const Route route = std::move(*waiting_.route);
  waiting_.route.reset();
  begin_on_leg();
  keep_as(key);
  const pool::ServerStatementName server_name(key);
  const std::string_view name = server_name.view();
  routing::ByteBuffer renamed;
  renamed.append(before(statement, target.name));
  renamed.append(name);
  const std::string_view until_statement = before(statement, target.statement);
  renamed.append(until_statement.substr(statement.tokens[target.name.last - 1].end));
  routing::append_qualified(renamed, prepared.compiled->view(), route, catalog());

  auto effects = std::make_unique<Effects>();
  cache.retain(prepared);
  statements_.assign(part.name, &prepared, &effects->names);
  note_sent(statement, effects.get());
  if (is_simple) {
    routing::append_query(leg_.out(), renamed.view());
    leg_.server().unnamed.reset();
  }
  Expectation& expectation =
      is_simple ? leg_.expect(Kind::kQuery) : leg_.send_statement(renamed.view(), false);
  expectation.key = key;
  expectation.is_renamed = true;
  expectation.effects = std::move(effects);
  cache.retain(prepared);
  expectation.statement = &prepared;
  std::vector<routing::TextChange> inner;
  routing::collect_text_changes(prepared.compiled->view(), route, catalog(), inner);
  routing::collect_renaming_changes(statement, target.name, name.size(), analysis_.text_changes);
  routing::add_inner_changes(until_statement, inner, analysis_.text_changes);
  if (is_simple) {
    count_query(route);
    begin_timing(expectation, statement.use);
    enter(Phase::kInFlight);
  }
  return Intake::kTaken;
}

// The server will have a statement under this name: others may use it, unless they would parse it otherwise.
void Session::keep_as(const pool::StatementKey& key) {
  pool::ServerMemory& server = leg_.server();
  while (const auto evicted = server.statements.evict(environment_.max_prepared_statements))
    server.to_close.push_back(*evicted);
  if (!leg_.is_busy() ||
      std::find(server.to_close.begin(), server.to_close.end(), key) != server.to_close.end())
    leg_.send_closes();
  if (parses_unlike_others()) {
    server.to_close.push_back(key);  // before the next group
  } else {
    server.statements.insert(key);
  }
}

// A statement that SQL's PREPARE has declared types for: only another PREPARE tells a server of them.
Expectation& Session::send_prepare(const PreparedStatement& statement, const pool::StatementKey& key,
                                   const Route& route) {
  routing::ByteBuffer text;
  text.append("PREPARE ");
  text.append(pool::ServerStatementName(key).view());
  text.append(" (");
  text.append(statement.sql_types().text);
  text.append(") AS ");
  routing::append_qualified(text, statement.compiled->view(), route, catalog());
  return leg_.send_statement(text.view(), true);
}

// --- EXECUTE ---

// Where the statement that EXECUTE names goes with these arguments, or, described, with any. Errors: what
// PostgreSQL says of the name and of the number of arguments, kUnusableKey, and those of route().
Result<Session::Execution> Session::execution_of(const AnalyzedStatement& statement, bool is_described) {
  const StatementPart& part = statement.plan->parts[0];
  const ExecuteCall& call = *part.execute;
  PreparedStatement* prepared = statements_.find(part.name);
  if (prepared == nullptr) return no_such_statement(part.name);
  if (!is_as_now(*prepared)) prepared = &as_read_now(part.name, *prepared);
  environment_.statements->refresh(*prepared, *environment_.router, catalog());
  Execution execution;
  execution.prepared = prepared;
  execution.view = prepared->compiled->view();
  if (is_described) {
    Result<Route> route = describing_route(*prepared);
    if (!route) return route.error();
    execution.route = std::move(*route);
    return execution;
  }
  if (!may_be_executed(execution.view)) {
    return Error{
        sqlstate::kFeatureNotSupported,
        fmt::format("EXECUTE of \"{}\", which is neither a query nor INSERT, UPDATE, DELETE or MERGE",
                    part.name),
        "It was prepared by the protocol's Parse.", "Bind and Execute it by the protocol."};
  }
  // Of a statement without parameters PostgreSQL looks at no argument (ExecuteQuery() in prepare.c).
  if (prepared->parameter_count() > 0 && call.arguments.size() != prepared->parameter_count()) {
    return Error{
        sqlstate::kSyntaxError,
        fmt::format("wrong number of parameters for prepared statement \"{}\"", part.name),
        fmt::format("Expected {} parameters but got {}.", prepared->parameter_count(), call.arguments.size()),
        ""};
  }
  if (const auto error = shadowed_name_error(execution.view)) return *error;
  if (sees_reset(execution.view)) return reset_error();
  if (statement.comment_hint.kind != routing::Hint::Kind::kNone)
    execution.view.comment_hint = statement.comment_hint;
  const auto arguments = routing::ExecuteArguments::read(statement, part, Parameters(), view_.encoding());
  if (!arguments) return arguments.error();
  Result<Route> route = route_of(execution.view, arguments->parameters());
  if (!route) return route.error();
  execution.route = std::move(*route);
  return execution;
}

// The server has the statement, under the name that is put into EXECUTE's text: what there is to send.
std::string Session::begin_execution(const AnalyzedStatement& statement, Execution& execution, bool runs) {
  const ExecuteCall& call = *statement.plan->parts[0].execute;
  execution.key = key_of(*execution.prepared, execution.route);
  begin_on_leg(true);
  if (runs) clear_foreign_sequences(execution.view);
  if (!leg_.server().statements.touch(execution.key))
    send_parse(*execution.prepared, false, execution.route, true);
  const pool::ServerStatementName name(execution.key);
  routing::collect_renaming_changes(statement, call.name, name.view().size(), analysis_.text_changes);
  std::string text(before(statement, call.name));
  text.append(name.view()).append(behind(statement, call.name));
  return text;
}

std::unique_ptr<Effects> Session::note_execution(const Execution& execution) {
  const StatementPart& part = execution.view.plan->parts[0];
  std::unique_ptr<Effects> effects;
  if (part.setting) {
    // What set_config() has made of its arguments the server tells.
    transaction_.bind();
    if (!part.setting->is_local) transaction_.untold_settings.push_back(part.setting->name);
  } else {
    effects = effects_of(execution.view, Parameters());
  }
  note_sent(execution.view, effects.get());
  count_query(execution.route);
  return effects;
}

Session::Intake Session::run_execute(const AnalyzedStatement& statement) {
  Result<Execution> execution = execution_of(statement, false);
  if (!execution) return refuse(execution.error(), true);
  const auto preferred = key_of(*execution->prepared, execution->route);
  const Server server = need_server(execution->route, preferred);
  if (server == Server::kWaiting) return Intake::kLater;
  if (server == Server::kRefused) return refuse(*std::exchange(waiting_.error, nullptr), true);
  routing::append_query(leg_.out(), begin_execution(statement, *execution, true));
  leg_.server().unnamed.reset();
  Expectation& query = leg_.expect(Kind::kQuery);
  query.key = execution->key;
  query.effects = note_execution(*execution);
  begin_timing(query, execution->view.use);
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

// The Bind of an EXECUTE: its text is made for this server, so that it is parsed there each time.
Session::Intake Session::bind_execute(const routing::BindMessage& message, PreparedStatement& bound) {
  const AnalyzedStatement& statement = bound.compiled->view();
  Result<Execution> execution = execution_of(statement, false);
  if (!execution) return bind_here(message, bound);  // its Execute tells
  const Server server = need_server(execution->route, key_of(*execution->prepared, execution->route));
  if (server == Server::kWaiting) return Intake::kLater;
  if (server == Server::kRefused) return settle_then_refuse(*std::exchange(waiting_.error, nullptr));
  parse_renamed(begin_execution(statement, *execution, true));
  {
    routing::FrameWriter frame(leg_.out(), 'B');
    leg_.out().append_c_string(message.portal);
    leg_.out().append_c_string("");
    leg_.out().append(message.after_names);
  }
  leg_.expect(Kind::kBind).is_unnamed = true;
  ++environment_.traffic[leg_.node().value].binds;
  add_portal_effects(message.portal, note_execution(*execution));
  note_portal(message.portal, execution->view.use);
  if (message.portal.empty()) {
    portals_.has_unnamed = true;
  } else {
    transaction_.bind();
  }
  return Intake::kTaken;
}

// At its Bind it could not be run: now it is looked at again.
Session::Intake Session::execute_unknown(LocalPortal& portal) {
  const AnalyzedStatement& statement = portal.statement->compiled->view();
  Result<Execution> execution = execution_of(statement, false);
  if (!execution) return refuse(execution.error(), false);
  const Server server = need_server(execution->route, key_of(*execution->prepared, execution->route));
  if (server == Server::kWaiting) return Intake::kLater;
  if (server == Server::kRefused) return refuse(*std::exchange(waiting_.error, nullptr), false);
  portal.has_run = true;
  const std::string text = begin_execution(statement, *execution, true);
  std::unique_ptr<Effects> effects = note_execution(*execution);
  Expectation& execute = leg_.send_statement(text, false);
  execute.effects = std::move(effects);
  begin_timing(execute, execution->view.use);
  return Intake::kTaken;
}

void Session::parse_renamed(std::string_view text) {
  routing::append_parse(leg_.out(), "", text, {});
  leg_.server().unnamed.reset();
  const bool is_owed = statements_.owed() != nullptr;
  Expectation& parse = leg_.expect(Kind::kParse, !is_owed);
  parse.is_unnamed = parse.is_renamed = true;
  if (!is_owed) return;
  parse.is_client_unnamed = statements_.is_owed_unnamed();
  if (!statements_.owed_undo().empty())
    parse.made_effects().names = std::exchange(statements_.owed_undo(), {});
  statements_.settle();
}

// Describe of a statement that is an EXECUTE.
Session::Intake Session::describe_execute(const AnalyzedStatement& statement) {
  Result<Execution> execution = execution_of(statement, true);
  if (!execution) {  // its Execute tells
    if (statements_.owed() != nullptr) tell_parse_complete();
    leg_.reply(kDescribedAsNothing);
    return Intake::kTaken;
  }
  const Server server = need_server(execution->route, std::nullopt);
  if (server == Server::kWaiting) return Intake::kLater;
  if (server == Server::kRefused) return settle_then_refuse(*std::exchange(waiting_.error, nullptr));
  parse_renamed(begin_execution(statement, *execution, false));
  routing::append_describe(leg_.out(), 'S', "");
  leg_.expect(Kind::kDescribeStatement).is_unnamed = true;
  return Intake::kTaken;
}

}  // namespace mosaic::proxy
