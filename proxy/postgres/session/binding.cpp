// Bind: statements are parsed where they run. A Parse names no shard yet, so it is kept; the real one goes
// out with the Bind that brings the key, in the same write (ARCHITECTURE.md, "Prepared statements").

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

constexpr std::string_view kBindComplete("2\0\0\0\4", 5);

}  // namespace

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
    if (statements_.owed() != nullptr) return refuse_owed(reading_in_doubt_error());
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
  if (!waiting_.route) note_statement(view.use);
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
  if (comes_behind_ours(view)) return Intake::kLater;
  const Route route = std::move(*waiting_.route);
  waiting_.route.reset();
  begin_on_leg(true);
  tell_of_what_ran_here(view);
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
  begin_timing(bind, view.use);  // where it fails; else its Execute tells
  note_portal(message->portal, view.use);
  std::unique_ptr<Effects> effects = effects_of(view, parameters);
  const bool is_control = parts.size() == 1 && parts[0].is_transaction_control();
  if (!is_control) note_sent(view, effects.get());
  add_portal_effects(
      message->portal, std::move(effects),
      is_control ? StatementReference(*environment_.statements, *statement) : StatementReference());
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

void Session::add_portal_effects(std::string_view portal, std::unique_ptr<Effects> effects,
                                 StatementReference control) {
  if (!effects && control.get() == nullptr) return;
  portals_.effects.push_back({std::string(portal), {}, std::move(control)});
  if (effects) portals_.effects.back().effects = std::move(effects->on_complete);
}

}  // namespace mosaic::proxy
