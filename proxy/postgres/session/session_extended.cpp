// The extended protocol: statements are parsed where they run. A Parse names no shard yet, so it is kept; the
// real one goes out with the Bind that brings the key, in the same write (ARCHITECTURE.md, "Prepared
// statements").

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Parameters;
using routing::Placement;
using routing::Result;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

namespace {

Error no_such_statement(std::string_view name) {
  return Error{sqlstate::kInvalidStatementName,
               name.empty() ? "unnamed prepared statement does not exist"
                            : fmt::format("prepared statement \"{}\" does not exist", name),
               "", ""};
}

Error no_such_portal(std::string_view name) {
  return Error{"34000", fmt::format("portal \"{}\" does not exist", name), "", ""};
}

// Where a statement may be parsed and described before its key is known: types are the same on every shard.
Result<Route> route_to_describe(const AnalyzedStatement& statement, const Result<Route>& by_itself,
                                const routing::CatalogSnapshot& catalog, routing::NodeId near) {
  if (by_itself) return by_itself;
  const auto& parts = statement.plan->parts;
  const bool is_sharded = std::any_of(parts.begin(), parts.end(),
                                      [](const auto& part) { return part.placement == Placement::kSharded; });
  if (!is_sharded || catalog.shard_count() == 0 || parts.size() != 1 || parts[0].refusal) return by_itself;
  std::optional<routing::ShardId> shard = catalog.first_shard_on(near);
  if (!shard) shard = routing::ShardId{0};
  Route route;
  route.target = Route::Target::kShard;
  route.shard = *shard;
  route.node = catalog.node_of(*shard);
  route.is_read = true;
  return route;
}

}  // namespace

Session::Portal* Session::find_portal(std::string_view name) {
  const auto found =
      std::find_if(portals_.begin(), portals_.end(), [&](const Portal& p) { return p.name == name; });
  return found == portals_.end() ? nullptr : &*found;
}

Session::Intake Session::on_parse(std::string_view body) {
  const Result<routing::ParseMessage> message = routing::parse_parse(body);
  if (!message) {
    fail_group(message.error());
    return Intake::kTaken;
  }
  if (owed_parse_ != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (skip_until_sync_) return Intake::kTaken;
  begin_statement();
  enter(Phase::kGroup);
  if (is_reading_in_doubt_) {
    fail_group(reading_in_doubt_error());
    return Intake::kTaken;
  }
  const bool is_named = !message->name.empty();
  if (is_named && find_prepared(message->name) != nullptr) {
    fail_group(duplicate_error(*message));
    return Intake::kTaken;
  }
  if (is_named && prepared_.size() >= environment_.max_client_prepared_statements) {
    fail_group(
        Error{sqlstate::kLimitExceeded, "too many prepared statements in this connection",
              fmt::format("max_client_prepared_statements = {}", environment_.max_client_prepared_statements),
              "DEALLOCATE statements that are no longer used"});
    return Intake::kTaken;
  }
  PreparedStatement& statement = name_statement(*message);
  ++statement.parses;
  if (is_refused_in_failed_transaction(statement)) {
    drop_prepared(message->name);
    fail_group(failed_transaction_error());
    return Intake::kTaken;
  }
  owed_parse_ = &statement;
  owed_is_unnamed_ = message->name.empty();
  const auto node = server_ != nullptr ? server_->node : catalog().default_node();
  ++environment_.traffic[node.value].client_parses;
  return Intake::kTaken;
}

// Answers a Parse whose Bind does not follow at once: from memory when a server has accepted the same
// statement before, else by a server. kLater: a server connection is being waited for.
Session::Intake Session::settle_parse(bool with_description) {
  const Intake intake = try_settle_parse(with_description);
  if (intake == Intake::kTaken) pending_route_.reset();
  return intake;
}

Session::Intake Session::try_settle_parse(bool with_description) {
  PreparedStatement& statement = *owed_parse_;
  environment_.statements->refresh(statement, *environment_.router, catalog());
  const bool is_known =
      with_description
          ? has_description(statement)
          : statement.is_accepted && statement.schema_version == environment_.statements->schema_version();
  if (is_known && transaction_status_ != 'E') {
    owed_parse_ = nullptr;
    reply_local(std::string_view("1\0\0\0\4", 5));
    return Intake::kTaken;
  }
  if (!pending_route_) {
    const AnalyzedStatement& view = statement.compiled->view();
    const bool is_bound = server_ != nullptr && transaction_status_ != 'I';
    const routing::NodeId near = is_bound ? server_->node : catalog().default_node();
    Result<Route> route = route_to_describe(view, route_of(view, Parameters()), catalog(), near);
    if (!route) {
      owed_parse_ = nullptr;
      fail_group(route.error());
      return Intake::kTaken;
    }
    pending_route_ = std::move(*route);
  }
  switch (need_server(*pending_route_, std::nullopt, HeldUse::kOutside)) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused:
      owed_parse_ = nullptr;
      pending_route_.reset();
      fail_group(*std::exchange(lease_error_, nullptr));
      return Intake::kTaken;
    case Server::kReady:
      break;
  }
  send_closes();
  owed_parse_ = nullptr;
  const pool::StatementKey key = key_of(statement, *pending_route_);
  is_described_unnamed_ = owed_is_unnamed_ || parses_unlike_others();
  if (!is_described_unnamed_ && server_->statements.touch(key)) {
    reply_local(std::string_view("1\0\0\0\4", 5));  // this server has accepted it before
  } else {
    send_parse(statement, is_described_unnamed_, *pending_route_, false);
  }
  described_key_ = key;
  return Intake::kTaken;
}

Session::Intake Session::on_bind(std::string_view body) {
  const Result<routing::BindMessage> message = routing::parse_bind(body);
  if (!message) {
    fail_group(message.error());
    return Intake::kTaken;
  }
  PreparedStatement* statement = find_prepared(message->statement);
  if (statement == nullptr) {
    fail_group(no_such_statement(message->statement));
    return Intake::kTaken;
  }
  if (owed_parse_ != nullptr && owed_parse_ != statement && settle_parse(false) == Intake::kLater)
    return Intake::kLater;
  if (skip_until_sync_) return Intake::kTaken;
  begin_statement();
  enter(Phase::kGroup);
  if (is_reading_in_doubt_) {
    owed_parse_ = nullptr;
    fail_group(reading_in_doubt_error());
    return Intake::kTaken;
  }
  if (statement->reading != reading_) statement = &as_read_now(message->statement, *statement);
  environment_.statements->refresh(*statement, *environment_.router, catalog());
  const AnalyzedStatement& view = statement->compiled->view();
  const auto& parts = view.plan->parts;
  const Parameters parameters = message->parameters(statement->types());
  std::erase_if(portal_effects_, [&](const PortalEffects& p) { return p.portal == message->portal; });
  std::erase_if(portals_, [&](const Portal& p) { return p.name == message->portal; });

  const bool is_answered_here = parts.empty() || (parts.size() == 1 && is_local(parts[0], view));
  if (is_answered_here || !portal_effects_.empty()) {
    const size_t bytes = sizeof(Portal) + message->portal.size() + message->after_names.size();
    if (const auto excess = find_held_excess(bytes)) {
      fail_group(*excess);
      return Intake::kTaken;
    }
  }
  if (is_answered_here) {
    if (owed_parse_ != nullptr) {
      owed_parse_ = nullptr;
      reply_local(std::string_view("1\0\0\0\4", 5));
    }
    portals_.push_back(Portal{std::string(message->portal), statement, std::string(message->after_names)});
    reply_local(std::string_view("2\0\0\0\4", 5));
    return Intake::kTaken;
  }
  const size_t required = std::max<size_t>(view.plan->parameter_count, statement->types().size());
  if (message->parameter_count != required && parts[0].kind != StatementKind::kInvalid) {
    // Said here, because the server knows the statement by another name.
    fail_group(
        Error{sqlstate::kProtocolViolation,
              fmt::format("bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                          message->parameter_count, message->statement, required),
              "", ""});
    return Intake::kTaken;
  }
  if (is_held_failed_ && !held_.empty()) {
    fail_group(failed_transaction_error());
    return Intake::kTaken;
  }
  if (!pending_route_) {
    Result<Route> route = route_of(view, parameters);
    if (!route) {
      // A failed transaction says so itself, whatever the statement.
      owed_parse_ = nullptr;
      fail_group(route.error());
      return Intake::kTaken;
    }
    pending_route_ = std::move(*route);
  }
  const pool::StatementKey key = key_of(*statement, *pending_route_);
  const bool is_by_name = !message->statement.empty() || is_worth_preparing(*statement);
  switch (need_server(*pending_route_, is_by_name ? std::optional(key) : std::nullopt, held_use(view))) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused:
      owed_parse_ = nullptr;
      pending_route_.reset();
      fail_group(*std::exchange(lease_error_, nullptr));
      return Intake::kTaken;
    case Server::kReady:
      break;
  }
  const Route route = std::move(*pending_route_);
  pending_route_.reset();
  send_held(held_use(view));
  send_closes();
  const bool is_unnamed = goes_unnamed(*statement, message->statement, key);
  const bool server_has_it = is_unnamed ? server_->unnamed == key : server_->statements.touch(key);
  if (!server_has_it) {
    send_parse(*statement, is_unnamed, route, owed_parse_ == nullptr);
  } else if (owed_parse_ != nullptr) {
    reply_local(std::string_view("1\0\0\0\4", 5));
  }
  owed_parse_ = nullptr;
  routing::ByteBuffer& out = *outbox_.to_server;
  {
    routing::FrameWriter frame(out, 'B');
    out.append_c_string(message->portal);
    out.append_c_string(is_unnamed ? std::string_view() : pool::ServerStatementName(key).view());
    out.append(message->after_names);
  }
  replies_.push(Reply{Reply::Kind::kBind, false, is_unnamed, key});
  ++environment_.traffic[server_->node.value].binds;
  count_query(route);
  is_group_pure_ = false;
  PortalEffects made{std::string(), {}};
  collect_effects(view, parameters, statement->types(), made.effects);
  note_local_settings(view);
  note_reading_changes(view);
  if (!made.effects.empty()) {
    made.portal = message->portal;
    portal_effects_.push_back(std::move(made));
  }
  if (parts.size() == 1 && parts[0].kind == StatementKind::kCopyIn && parts[0].copy &&
      parts[0].copy->is_sharded) {
    begin_copy_check(*parts[0].copy, route.shard);
  }
  return Intake::kTaken;
}

Session::Intake Session::on_describe(std::string_view body) {
  const Result<routing::TargetMessage> message = routing::parse_target(body);
  if (!message) {
    fail_group(message.error());
    return Intake::kTaken;
  }
  enter(Phase::kGroup);
  if (message->kind == 'P') {
    if (find_portal(message->name) != nullptr) {
      reply_local(std::string_view("n\0\0\0\4", 5));  // statements that are answered here return no rows
      return Intake::kTaken;
    }
    if (server_ == nullptr) {
      fail_group(no_such_portal(message->name));
      return Intake::kTaken;
    }
    routing::append_describe(*outbox_.to_server, 'P', message->name);
    replies_.push(Reply{Reply::Kind::kDescribePortal});
    return Intake::kTaken;
  }
  PreparedStatement* statement = find_prepared(message->name);
  if (statement == nullptr) {
    fail_group(no_such_statement(message->name));
    return Intake::kTaken;
  }
  begin_statement();
  if (statement->reading != reading_) statement = &as_read_now(message->name, *statement);
  environment_.statements->refresh(*statement, *environment_.router, catalog());
  if (owed_parse_ != nullptr && owed_parse_ != statement && settle_parse(false) == Intake::kLater)
    return Intake::kLater;
  if (skip_until_sync_) return Intake::kTaken;
  if (is_held_failed_ && !held_.empty() && !(has_description(*statement) && statement->returns_no_rows())) {
    fail_group(failed_transaction_error());
    return Intake::kTaken;
  }
  if (has_description(*statement) && transaction_status_ != 'E') {
    if (owed_parse_ != nullptr && settle_parse(true) == Intake::kLater) return Intake::kLater;
    ++environment_.described_from_cache;
    reply_local(statement->description);
    return Intake::kTaken;
  }
  const bool was_owed = owed_parse_ != nullptr;
  if (was_owed) {
    if (settle_parse(true) == Intake::kLater) return Intake::kLater;
    if (skip_until_sync_) return Intake::kTaken;
  }
  pool::StatementKey key;
  bool is_unnamed = message->name.empty();
  if (was_owed) {
    key = described_key_;
    is_unnamed = is_described_unnamed_;
  } else {
    const AnalyzedStatement& view = statement->compiled->view();
    if (!pending_route_) {
      const bool is_bound = server_ != nullptr && transaction_status_ != 'I';
      const routing::NodeId near = is_bound ? server_->node : catalog().default_node();
      Result<Route> route = route_to_describe(view, route_of(view, Parameters()), catalog(), near);
      if (!route) {
        fail_group(route.error());
        return Intake::kTaken;
      }
      pending_route_ = std::move(*route);
    }
    switch (need_server(*pending_route_, std::nullopt, HeldUse::kOutside)) {
      case Server::kWaiting:
        return Intake::kLater;
      case Server::kRefused:
        pending_route_.reset();
        fail_group(*std::exchange(lease_error_, nullptr));
        return Intake::kTaken;
      case Server::kReady:
        break;
    }
    key = key_of(*statement, *pending_route_);
    is_unnamed = goes_unnamed(*statement, message->name, key);
    const bool server_has_it = is_unnamed ? server_->unnamed == key : server_->statements.touch(key);
    if (!server_has_it) send_parse(*statement, is_unnamed, *pending_route_, true);
    pending_route_.reset();
  }
  routing::append_describe(*outbox_.to_server, 'S',
                           is_unnamed ? std::string_view() : pool::ServerStatementName(key).view());
  has_sent_ = true;
  environment_.statements->retain(*statement);
  replies_.push(Reply{Reply::Kind::kDescribeStatement, false, is_unnamed, key, statement});
  return Intake::kTaken;
}

Session::Intake Session::on_execute(std::string_view body) {
  const Result<routing::ExecuteMessage> message = routing::parse_execute(body);
  if (!message) {
    fail_group(message.error());
    return Intake::kTaken;
  }
  enter(Phase::kGroup);
  if (const Portal* portal = find_portal(message->portal)) {
    const AnalyzedStatement& view = portal->statement->compiled->view();
    if (view.plan->parts.empty()) {
      append_local(LocalReply{"", std::nullopt, true});
      return Intake::kTaken;
    }
    // The portal keeps its Bind message from behind the names on: an empty pair of names makes it whole
    // again.
    const std::string bind = std::string(2, '\0') + portal->parameters;
    const Result<routing::BindMessage> bound = routing::parse_bind(bind);
    const Parameters parameters = bound ? bound->parameters(portal->statement->types()) : Parameters();
    const LocalReply reply = run_local(view.plan->parts[0], view, parameters);
    if (reply.error) {
      fail_group(*reply.error);
    } else {
      append_local(reply);
    }
    return Intake::kTaken;
  }
  if (server_ == nullptr) {
    fail_group(no_such_portal(message->portal));
    return Intake::kTaken;
  }
  const auto made = std::find_if(portal_effects_.begin(), portal_effects_.end(),
                                 [&](const PortalEffects& p) { return p.portal == message->portal; });
  if (made != portal_effects_.end()) {
    for (SettingEffect effect : made->effects) {
      effect.part = sent_parts_;
      effects_.push_back(std::move(effect));
    }
    portal_effects_.erase(made);
  }
  ++sent_parts_;
  routing::FrameWriter frame(*outbox_.to_server, 'E');
  outbox_.to_server->append(body);
  replies_.push(Reply{Reply::Kind::kExecute});
  return Intake::kTaken;
}

Session::Intake Session::on_close(std::string_view body) {
  const Result<routing::TargetMessage> message = routing::parse_target(body);
  if (!message) {
    fail_group(message.error());
    return Intake::kTaken;
  }
  if (owed_parse_ != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (skip_until_sync_) return Intake::kTaken;
  enter(Phase::kGroup);
  if (message->kind == 'S') {
    // The servers keep their copies: another client may use them, and their lists are bounded.
    drop_prepared(message->name);
    reply_local(std::string_view("3\0\0\0\4", 5));
    return Intake::kTaken;
  }
  if (find_portal(message->name) != nullptr || server_ == nullptr) {
    std::erase_if(portals_, [&](const Portal& p) { return p.name == message->name; });
    reply_local(std::string_view("3\0\0\0\4", 5));
    return Intake::kTaken;
  }
  routing::append_close(*outbox_.to_server, 'P', message->name);
  replies_.push(Reply{Reply::Kind::kClose});
  return Intake::kTaken;
}

Session::Intake Session::on_flush() {
  if (owed_parse_ != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (server_ != nullptr && phase_ == Phase::kGroup) routing::append_empty(*outbox_.to_server, 'H');
  outbox_.flush_client = true;
  return Intake::kTaken;
}

Session::Intake Session::on_sync() {
  if (owed_parse_ != nullptr && !skip_until_sync_ && settle_parse(false) == Intake::kLater)
    return Intake::kLater;
  owed_parse_ = nullptr;
  pending_route_.reset();
  if (server_ == nullptr) {
    skip_until_sync_ = false;
    // Portals live until their transaction ends.
    if (held_.empty()) portals_.clear();
    routing::append_ready(*outbox_.to_client, visible_status(transaction_status_));
    come_to_rest();
    return Intake::kTaken;
  }
  routing::append_sync(*outbox_.to_server);
  replies_.push(Reply{Reply::Kind::kSync});
  enter(Phase::kInFlight);
  return Intake::kTaken;
}

// Ends the group with an error of ours: what comes until Sync is ignored, as a server would.
void Session::fail_group(const Error& error) {
  ++environment_.refused_statements;
  enter(Phase::kGroup);
  owed_parse_ = nullptr;
  skip_until_sync_ = true;
  if (server_ != nullptr && (transaction_status_ != 'I' || !replies_.is_empty())) {
    send_poison(error);
    return;
  }
  if (!held_.empty()) {
    fail_held();
    held_error_.reset();
  }
  routing::append_error(*outbox_.to_client, error);
}

void Session::send_poison(const Error& error) {
  refusal_ = std::make_unique<Error>(error);
  routing::append_parse(*outbox_.to_server, "", fmt::format("mosaic refused a statement: {}", error.sqlstate),
                        {});
  routing::append_empty(*outbox_.to_server,
                        'H');  // or the client would not see the error before it sends Sync
  server_->unnamed.reset();
  replies_.push(Reply{Reply::Kind::kPoison});
}

}  // namespace mosaic::proxy
