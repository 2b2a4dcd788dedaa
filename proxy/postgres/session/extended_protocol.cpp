// The extended protocol behind Bind: Describe, Execute, Close, Flush, Sync.

#include <fmt/format.h>

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Parameters;
using routing::Result;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

namespace {

constexpr std::string_view kCloseComplete("3\0\0\0\4", 5), kNoData("n\0\0\0\4", 5);

Error no_such_portal(std::string_view name) {
  return Error{"34000", fmt::format("portal \"{}\" does not exist", name), "", ""};
}

// PostgreSQL, IsTransactionExitStmt() in postgres.c.
bool may_end_failed_transaction(routing::StatementKind kind) {
  using routing::StatementKind;
  return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
         kind == StatementKind::kRollbackTo;
}

}  // namespace

// --- Describe ---

Session::Intake Session::on_describe(std::string_view body) {
  const Result<routing::TargetMessage> message = routing::parse_target(body);
  PreparedStatement* statement = message && message->kind == 'S' ? statements_.find(message->name) : nullptr;
  const bool is_of_owed = statement != nullptr && statements_.owed() == statement;
  if (statements_.owed() != nullptr && !is_of_owed && settle_parse(false) == Intake::kLater)
    return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  if (!message) return refuse(message.error(), false);
  begin_statement();
  enter(Phase::kGroup);
  if (message->kind == 'P') {
    if (statements_.find_portal(message->name) != nullptr) {
      leg_.reply(kNoData);  // statements that are answered here return no rows
      return Intake::kTaken;
    }
    if (!may_have_portal(message->name)) return refuse(no_such_portal(message->name), false);
    begin_on_leg();
    routing::append_describe(leg_.out(), 'P', message->name);
    leg_.expect(Kind::kDescribePortal);
    return Intake::kTaken;
  }
  if (statement == nullptr) return refuse(no_such_statement(message->name), false);
  if (is_reading_in_doubt(statement->text())) {
    if (statements_.owed() != nullptr) return refuse_owed(reading_in_doubt_error());
    return refuse(reading_in_doubt_error(), false);
  }
  if (!is_as_now(*statement)) statement = &as_read_now(message->name, *statement);
  environment_.statements->refresh(*statement, *environment_.router, catalog());
  const bool is_parsed_here = is_of_owed && is_settled_here(statement->compiled->view());
  if (answers_with_nothing(statement->compiled->view()) && (is_parsed_here || !is_of_owed)) {
    if (is_parsed_here) tell_parse_complete();
    leg_.reply(kDescribedAsNothing);
    return Intake::kTaken;
  }
  if (transaction_.is_lost() && !(has_description(*statement) && statement->returns_no_rows()))
    return refuse(failed_transaction_error(), false);
  if (is_sql_prepared(statement->compiled->view())) return describe_execute(statement->compiled->view());
  if (is_of_owed) {
    const bool is_known = has_description(*statement) && leg_.status() != 'E';
    if (settle_parse(true) == Intake::kLater) return Intake::kLater;
    if (group_.skips_until_sync) return Intake::kTaken;
    if (is_known) {
      ++environment_.described_from_cache;
      leg_.reply(statement->description);
      return Intake::kTaken;
    }
  } else if (has_description(*statement) && leg_.status() != 'E') {
    ++environment_.described_from_cache;
    leg_.reply(statement->description);
    return Intake::kTaken;
  } else {
    if (!waiting_.route) {
      Result<Route> route = describing_route(*statement);
      if (!route) return refuse(route.error(), false);
      waiting_.route = std::move(*route);
    }
    switch (need_server(*waiting_.route, std::nullopt)) {
      case Server::kWaiting:
        return Intake::kLater;
      case Server::kRefused:
        return refuse(*std::exchange(waiting_.error, nullptr), false);
      case Server::kReady:
        break;
    }
    const Route route = std::move(*waiting_.route);
    waiting_.route.reset();
    begin_on_leg(true);
    group_.described_key = key_of(*statement, route);
    group_.is_described_unnamed = goes_unnamed(*statement, message->name, group_.described_key);
    const bool server_has_it = group_.is_described_unnamed
                                   ? leg_.server().unnamed == group_.described_key
                                   : leg_.server().statements.touch(group_.described_key);
    if (!server_has_it) {
      send_parse(*statement, group_.is_described_unnamed, route, true);
      group_.has_our_snapshot = true;
    }
  }
  routing::append_describe(leg_.out(), 'S',
                           group_.is_described_unnamed
                               ? std::string_view()
                               : pool::ServerStatementName(group_.described_key).view());
  environment_.statements->retain(*statement);
  Expectation& describe = leg_.expect(Kind::kDescribeStatement);
  describe.is_unnamed = group_.is_described_unnamed;
  describe.key = group_.described_key;
  describe.statement = statement;
  return Intake::kTaken;
}

// --- Execute ---

Session::Intake Session::on_execute(std::string_view body) {
  const Result<routing::ExecuteMessage> message = routing::parse_execute(body);
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  if (!message) return refuse(message.error(), false);
  enter(Phase::kGroup);
  if (LocalPortal* portal = statements_.find_portal(message->portal)) return execute_local(*portal);
  if (!may_have_portal(message->portal)) return refuse(no_such_portal(message->portal), false);
  begin_on_leg();
  {
    routing::FrameWriter frame(leg_.out(), 'E');
    leg_.out().append(body);
  }
  Expectation& execute = leg_.expect(Kind::kExecute);
  begin_timing_of_portal(execute, message->portal);
  // It may have been bound before the Sync.
  if (!message->portal.empty() && transaction_.changes_reading) group_.is_reading_in_doubt = true;
  const auto made = std::find_if(portals_.effects.begin(), portals_.effects.end(),
                                 [&](const PortalEffects& p) { return p.portal == message->portal; });
  if (made != portals_.effects.end()) {
    if (!made->effects.empty()) execute.made_effects().on_complete = made->effects;
    note_executed(*made, message->row_limit, execute);
  }
  if (message->row_limit == 0) {
    if (made != portals_.effects.end()) portals_.effects.erase(made);
  }
  return Intake::kTaken;
}

// What it does that cannot wait for its confirmation.
void Session::note_executed(PortalEffects& portal, uint32_t row_limit, Expectation& execute) {
  const StatementReference control = std::exchange(portal.control, {});
  if (control.get() != nullptr) {
    const AnalyzedStatement& view = control.get()->compiled->view();
    note_sent(view, nullptr);
    if (view.plan->parts[0].ends_transaction()) statements_.drop_portals();
  }
  for (const Effect& effect : portal.effects) {
    if (drops_names(effect)) statements_.drop_all(&execute.made_effects().names);
    if (effect.kind == Effect::Kind::kDiscardAll) statements_.drop_portals();
    // set_config() may be suspended behind its first row: only this server will know what it has set.
    if (effect.kind == Effect::Kind::kSet && row_limit > 0) transaction_.bind();
  }
}

Session::Intake Session::execute_local(LocalPortal& portal) {
  const std::string name = portal.name;
  const AnalyzedStatement& view = portal.statement->compiled->view();
  const auto& parts = view.plan->parts;
  // What it does, it does behind all that was sent before.
  if (!leg_.owed().is_empty()) return drain();
  note_statement(view.use);
  if (parts.empty()) {
    append_local(LocalReply{"", std::nullopt, true});
    return Intake::kTaken;
  }
  if (has_failed_transaction() && !may_end_failed_transaction(parts[0].kind))
    return refuse(failed_transaction_error(), false);
  if (portal.has_run) {
    return refuse(Error{"55000", fmt::format("portal \"{}\" cannot be run", portal.name), "", ""}, false);
  }
  if (is_unrouted_copy(view)) {
    if (is_read_only()) return refuse(read_only_copy_error(), false);
    portal.has_run = true;
    begin_unrouted_copy(view, true);
    return Intake::kTaken;
  }
  if (parts[0].execute && is_sql_prepared(view)) return execute_unknown(portal);
  if (parts[0].prepare && is_local(parts[0])) {
    const Intake intake = run_prepare(view, false);
    if (intake == Intake::kTaken) {
      group_.has_run_here = true;
      if (LocalPortal* still = statements_.find_portal(name)) still->has_run = true;
    }
    return intake;
  }
  if (!is_local(parts[0])) {
    // A server has come into it since the Bind, or has to.
    if (!leg_.is_held()) {
      Route anywhere;
      anywhere.node = idle_node();
      const Server server = need_server(anywhere, std::nullopt);
      if (server == Server::kWaiting) return Intake::kLater;
      if (server == Server::kRefused) return refuse(*std::exchange(waiting_.error, nullptr), false);
    }
    begin_on_leg();
    tell_of_what_ran_here(view);
    portal.has_run = true;
    std::unique_ptr<Effects> effects = effects_of(view, Parameters());
    note_sent(view, effects.get());
    leg_.send_statement(view.text, false).effects = std::move(effects);
    // And with them this one.
    if (parts[0].ends_transaction() || parts[0].is_discard_all()) statements_.drop_portals();
    return Intake::kTaken;
  }
  // The portal keeps its Bind message from behind the names on: an empty pair of names makes it whole again.
  const std::string bind = std::string(2, '\0') + portal.parameters;
  const Result<routing::BindMessage> bound = routing::parse_bind(bind);
  const Parameters parameters = bound ? bound->parameters(portal.statement->types()) : Parameters();
  portal.has_run = true;
  const LocalReply reply = run_local(parts[0], view, parameters);
  if (reply.error) return refuse(*reply.error, false);
  // Transaction control is not counted (exec_execute_message() in postgres.c).
  group_.has_run_here |= !parts[0].is_transaction_control();
  if (parts[0].ends_transaction() || parts[0].is_discard_all()) group_.has_run_here = false;  // at once
  append_local(reply);
  return Intake::kTaken;
}

// --- Close, Flush, Sync ---

Session::Intake Session::on_close(std::string_view body) {
  const Result<routing::TargetMessage> message = routing::parse_target(body);
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  if (!message) return refuse(message.error(), false);
  enter(Phase::kGroup);
  if (message->kind == 'S') {
    // The servers keep their copies: another client may use them, and their lists are bounded.
    std::vector<NameChange> changes;
    if (statements_.find(message->name) != nullptr) statements_.assign(message->name, nullptr, &changes);
    reply_named(kCloseComplete, changes);
    return Intake::kTaken;
  }
  const LocalPortal* portal = statements_.find_portal(message->name);
  const bool is_on_server = portal == nullptr ? leg_.is_held() : portal->is_on_server;
  statements_.drop_portal(message->name);
  if (!is_on_server || !leg_.is_held()) {
    leg_.reply(kCloseComplete);
    return Intake::kTaken;
  }
  begin_on_leg();
  routing::append_close(leg_.out(), 'P', message->name);
  leg_.expect(Kind::kClose);
  return Intake::kTaken;
}

Session::Intake Session::on_flush() {
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  attempt_.on_flush();
  if (leg_.is_busy()) leg_.send_flush();
  outbox_.flush_client = true;
  return Intake::kTaken;
}

Session::Intake Session::on_sync() {
  if (statements_.owed() != nullptr) {
    if (group_.skips_until_sync) {
      statements_.forget_owed();
    } else if (settle_parse(false) == Intake::kLater) {
      return Intake::kLater;
    }
  }
  waiting_.route.reset();
  const bool is_unused = leg_.is_held() && !leg_.is_busy() && leg_.status() == 'I' && !is_pinned();
  if (is_unused && leg_.remains.is_unclean) {  // behind DISCARD ALL
    begin_group();
    append_ready();
    release_server();
    return Intake::kTaken;
  }
  if (is_unused) end_lease(LeaseEnd::kReturn);  // what it was for was answered from memory meanwhile
  if (!leg_.is_held()) {
    begin_group();
    // Portals live until their transaction ends.
    if (!transaction_.is_open()) {
      statements_.drop_portals();
      view_.commit();
    }
    append_ready();
    come_to_rest();
    return Intake::kTaken;
  }
  leg_.send_sync();
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

}  // namespace mosaic::proxy
