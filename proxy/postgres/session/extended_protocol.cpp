// The extended protocol: statements are parsed where they run. A Parse names no shard yet, so it is kept; the
// real one goes out with the Bind that brings the key, in the same write (ARCHITECTURE.md, "Prepared
// statements").

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

constexpr std::string_view kBindComplete("2\0\0\0\4", 5), kCloseComplete("3\0\0\0\4", 5),
    kNoData("n\0\0\0\4", 5);

Error no_such_statement(std::string_view name) {
  return Error{sqlstate::kInvalidStatementName,
               name.empty() ? "unnamed prepared statement does not exist"
                            : fmt::format("prepared statement \"{}\" does not exist", name),
               "", ""};
}

Error no_such_portal(std::string_view name) {
  return Error{"34000", fmt::format("portal \"{}\" does not exist", name), "", ""};
}

bool ends_transaction(const AnalyzedStatement& statement) {
  const auto& parts = statement.plan->parts;
  return parts.size() == 1 &&
         (parts[0].kind == StatementKind::kCommit || parts[0].kind == StatementKind::kRollback);
}

// PostgreSQL, IsTransactionExitStmt() in postgres.c.
bool may_end_failed_transaction(routing::StatementKind kind) {
  using routing::StatementKind;
  return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
         kind == StatementKind::kRollbackTo;
}

}  // namespace

// --- Bind ---

Session::Intake Session::on_bind(std::string_view body) {
  const Result<routing::BindMessage> message = routing::parse_bind(body);
  PreparedStatement* statement = message ? statements_.find(message->statement) : nullptr;
  const bool is_of_owed =
      statement != nullptr && statements_.owed() == statement && !waiting_.is_describing();
  if (statements_.owed() != nullptr && !is_of_owed && settle_parse(false) == Intake::kLater)
    return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  if (!message) return refuse(message.error(), false);
  if (statement == nullptr) return refuse(no_such_statement(message->statement), false);
  begin_statement();
  enter(Phase::kGroup);
  if (is_reading_in_doubt(body) || is_reading_in_doubt(statement->text())) {
    if (statements_.owed() != nullptr) statements_.fail_owed();
    return refuse(reading_in_doubt_error(), false);
  }
  if (!is_as_now(*statement)) statement = &as_read_now(message->statement, *statement);
  environment_.statements->refresh(*statement, *environment_.router, catalog());
  const AnalyzedStatement& view = statement->compiled->view();
  const auto& parts = view.plan->parts;
  if (transaction_.is_lost() && !may_end_lost_transaction(view))
    return refuse(failed_transaction_error(), false);
  if (const auto error = shadowed_name_error(view)) return settle_then_refuse(*error);
  if (sees_reset(view)) return settle_then_refuse(reset_error());
  const Parameters parameters = message->parameters(statement->types());
  if (!message->portal.empty() && statements_.find_portal(message->portal) != nullptr) {
    return settle_then_refuse(
        Error{"42P03", fmt::format("cursor \"{}\" already exists", message->portal), "", ""});
  }
  std::erase_if(portals_.effects, [&](const PortalEffects& p) { return p.portal == message->portal; });
  statements_.drop_portal(message->portal);

  const size_t required = statement->parameter_count();
  const bool is_invalid = parts.size() == 1 && parts[0].kind == StatementKind::kInvalid;
  if (message->parameter_count != required && !is_invalid) {
    // Said here, because the server knows the statement by another name.
    return settle_then_refuse(
        Error{sqlstate::kProtocolViolation,
              fmt::format("bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                          message->parameter_count, message->statement, required),
              "", ""});
  }
  const bool is_unrouted = is_unrouted_copy(view);
  const bool is_here =
      parts.empty() ? !leg_.is_held() : is_unrouted || (parts.size() == 1 && is_local(parts[0]));
  if (is_here) {
    if (statements_.owed() != nullptr) {
      if (is_unrouted) {
        if (settle_parse(false) == Intake::kLater) return Intake::kLater;
        if (group_.skips_until_sync) return Intake::kTaken;
      }
    }
    return bind_here(*message, *statement);
  }
  if (is_sql_prepared(view)) return bind_execute(*message, *statement);
  if (!waiting_.route && ends_prepared_transaction(view)) {
    if (waiting_.error) return settle_then_refuse(*std::exchange(waiting_.error, nullptr));
    search_prepared_transaction(view);
    return Intake::kLater;
  }
  if (!waiting_.route) {
    Result<Route> route = route_of(view, parameters);
    if (!route) return settle_then_refuse(route.error());
    waiting_.route = std::move(*route);
  }
  const pool::StatementKey key = key_of(*statement, *waiting_.route);
  const bool is_by_name = !message->statement.empty() || is_worth_preparing(*statement);
  switch (need_server(*waiting_.route, is_by_name ? std::optional(key) : std::nullopt)) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused:
      return settle_then_refuse(*std::exchange(waiting_.error, nullptr));
    case Server::kReady:
      break;
  }
  const Route route = std::move(*waiting_.route);
  waiting_.route.reset();
  begin_on_leg(true);
  take_snapshot_before(view);
  clear_foreign_sequences(view);
  const bool is_unnamed = goes_unnamed(*statement, message->statement, key);
  const bool server_has_it = is_unnamed ? leg_.server().unnamed == key : leg_.server().statements.touch(key);
  const bool is_owed = statements_.owed() != nullptr;
  if (!server_has_it) {
    Expectation& parse = send_parse(*statement, is_unnamed, route, !is_owed);
    if (is_owed) {
      parse.is_client_unnamed = statements_.is_owed_unnamed();
      if (!statements_.owed_undo().empty())
        parse.made_effects().names = std::exchange(statements_.owed_undo(), {});
      statements_.settle();
    }
  } else if (is_owed) {
    tell_parse_complete();
  }
  {
    routing::FrameWriter frame(leg_.out(), 'B');
    leg_.out().append_c_string(message->portal);
    leg_.out().append_c_string(is_unnamed ? std::string_view() : pool::ServerStatementName(key).view());
    leg_.out().append(message->after_names);
  }
  Expectation& bind = leg_.expect(Kind::kBind);
  bind.is_unnamed = is_unnamed;
  bind.key = key;
  ++environment_.traffic[leg_.node().value].binds;
  count_query(route);
  std::unique_ptr<Effects> effects = effects_of(view, parameters);
  note_sent(view, effects.get());
  if (ends_transaction(view)) statements_.drop_portals();
  add_portal_effects(message->portal, std::move(effects));
  if (message->portal.empty()) portals_.has_unnamed = true;
  const bool may_hold_rows = parts.size() != 1 || parts[0].kind == StatementKind::kQuery ||
                             parts[0].kind == StatementKind::kShow || !transaction_.is_portable(parts[0]);
  // The unnamed portal does not outlive the next Bind or query anyway.
  if (!message->portal.empty() && may_hold_rows) transaction_.bind();
  if (parts.size() == 1 && parts[0].kind == StatementKind::kCopyIn && parts[0].copy &&
      parts[0].copy->is_sharded) {
    begin_copy(*parts[0].copy, route.shard);
  }
  return Intake::kTaken;
}

// Its Execute is answered by Mosaic.
Session::Intake Session::bind_here(const routing::BindMessage& message, PreparedStatement& statement) {
  if (statements_.owed() != nullptr) tell_parse_complete();
  const size_t bytes = sizeof(LocalPortal) + message.portal.size() + message.after_names.size();
  if (statements_.portal_bytes() + bytes > environment_.max_held_bytes) {
    return refuse(Error{sqlstate::kLimitExceeded, "too many portals wait for their Execute",
                        fmt::format("max_held_bytes = {}", environment_.max_held_bytes),
                        "execute or close portals before so many, or raise max_held_bytes"},
                  false);
  }
  LocalPortal& portal = statements_.add_portal(message.portal, statement, message.after_names);
  portal.is_on_server = !message.portal.empty() && leg_.is_held() && (leg_.is_busy() || leg_.status() != 'I');
  Expectation* later = nullptr;
  if (portal.is_on_server) {  // which may have one of that name
    later = &leg_.bind_nothing(message.portal);
  } else {
    later = leg_.reply(kBindComplete);
  }
  if (later != nullptr) later->made_effects().portal = message.portal;
  return Intake::kTaken;
}

// Statements of ours leave the server an unnamed portal that is none of the client's; what has failed there
// in a transaction leaves one too, which is the client's.
bool Session::may_have_portal(std::string_view name) const {
  return leg_.is_held() && (!name.empty() || portals_.has_unnamed || leg_.status() == 'E');
}

void Session::add_portal_effects(std::string_view portal, std::unique_ptr<Effects> effects) {
  if (effects) portals_.effects.push_back({std::string(portal), std::move(effects->on_complete)});
}

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
    if (statements_.owed() != nullptr) statements_.fail_owed();
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
    if (!server_has_it) send_parse(*statement, group_.is_described_unnamed, route, true);
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
  // It may have been bound before the Sync.
  if (!message->portal.empty() && transaction_.changes_reading) group_.is_reading_in_doubt = true;
  const auto made = std::find_if(portals_.effects.begin(), portals_.effects.end(),
                                 [&](const PortalEffects& p) { return p.portal == message->portal; });
  if (made != portals_.effects.end()) execute.made_effects().on_complete = made->effects;
  if (message->row_limit == 0) {
    if (made != portals_.effects.end()) portals_.effects.erase(made);
  }
  return Intake::kTaken;
}

Session::Intake Session::execute_local(LocalPortal& portal) {
  const std::string name = portal.name;
  const AnalyzedStatement& view = portal.statement->compiled->view();
  const auto& parts = view.plan->parts;
  // What it does, it does behind all that was sent before.
  if (!leg_.owed().is_empty()) return drain();
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
      group_.has_run_here = group_.has_snapshot_here = true;
      if (LocalPortal* still = statements_.find_portal(name)) still->has_run = true;
    }
    return intake;
  }
  if (!is_local(parts[0])) {
    // A server has come into it since the Bind, or has to.
    if (!leg_.is_held()) {
      Route anywhere;
      anywhere.node = likely_node();
      const Server server = need_server(anywhere, std::nullopt);
      if (server == Server::kWaiting) return Intake::kLater;
      if (server == Server::kRefused) return refuse(*std::exchange(waiting_.error, nullptr), false);
    }
    begin_on_leg();
    take_snapshot_before(view);
    portal.has_run = true;
    std::unique_ptr<Effects> effects = effects_of(view, Parameters());
    note_sent(view, effects.get());
    leg_.send_statement(view.text, false).effects = std::move(effects);
    if (ends_transaction(view)) statements_.drop_portals();  // and with them this one
    return Intake::kTaken;
  }
  // The portal keeps its Bind message from behind the names on: an empty pair of names makes it whole again.
  const std::string bind = std::string(2, '\0') + portal.parameters;
  const Result<routing::BindMessage> bound = routing::parse_bind(bind);
  const Parameters parameters = bound ? bound->parameters(portal.statement->types()) : Parameters();
  portal.has_run = true;
  const StatementKind kind = parts[0].kind;
  const LocalReply reply = run_local(parts[0], view, parameters);
  if (reply.error) return refuse(*reply.error, false);
  group_.has_run_here = !parts[0].is_discard_all();  // which commits at once
  group_.has_snapshot_here =
      group_.has_run_here &&
      (group_.has_snapshot_here || kind == StatementKind::kDeallocate || kind == StatementKind::kDiscard);
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
    group_ = {};
    append_ready();
    release_server();
    return Intake::kTaken;
  }
  if (is_unused) end_lease(LeaseEnd::kReturn);  // what it was for was answered from memory meanwhile
  if (!leg_.is_held()) {
    group_ = {};
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
