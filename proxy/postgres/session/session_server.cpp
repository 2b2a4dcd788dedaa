// What servers answer: which frames go on to the client, which were meant for us, and what they change.
// Bodies are looked at only where they tell something that the header does not.

#include <algorithm>
#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::Route;
namespace sqlstate = routing::sqlstate;

namespace {

// A plan that was made before its tables changed is refused when it is used (PostgreSQL,
// RevalidateCachedQuery() in plancache.c). The routine's name is the same in every language.
bool tells_of_changed_schema(std::string_view error_body) {
  constexpr std::string_view kField("\0RRevalidateCachedQuery\0", 24);
  return error_body.find(kField) != std::string_view::npos;
}

}  // namespace

void Session::pop_reply() {
  Reply& reply = replies_.front();
  if (reply.statement != nullptr) environment_.statements->release(*reply.statement);
  replies_.pop();
}

void Session::flush_local_replies() {
  while (!replies_.is_empty() && replies_.front().kind == Reply::Kind::kLocal) {
    outbox_.to_client->append(local_bytes_.data(), replies_.front().local_bytes);
    local_bytes_.consume(replies_.front().local_bytes);
    replies_.pop();
  }
}

// After an error a server skips what was sent until the next Sync: so do we.
void Session::drop_replies_until_sync() {
  while (!replies_.is_empty() && replies_.front().kind != Reply::Kind::kSync && !replies_.front().is_bound) {
    const Reply& reply = replies_.front();
    if (reply.kind == Reply::Kind::kParse) {
      // An unnamed Parse that failed says nothing about the named statement of the same text.
      if (reply.is_unnamed) {
        server_->unnamed.reset();
      } else {
        server_->statements.erase(reply.key);
      }
    }
    if (reply.kind == Reply::Kind::kClose && reply.is_ours) server_->to_close.push_back(reply.key);
    if (reply.kind == Reply::Kind::kLocal) local_bytes_.consume(reply.local_bytes);
    pop_reply();
  }
}

Session::Verdict Session::on_server_frame(const routing::FrameHeader& header) {
  if (phase_ == Phase::kAbandoned) {
    return header.type == 'D' || header.type == 'd' || header.type == 'N' || header.type == 'A'
               ? Verdict::kDrop
               : Verdict::kBody;
  }
  if (phase_ == Phase::kPreparing) {
    return header.type == 'Z' || header.type == 'E' || header.type == 'S' || header.type == 'G'
               ? Verdict::kBody
               : Verdict::kDrop;
  }
  const bool is_expected = !replies_.is_empty();
  switch (header.type) {
    case 'D':  // DataRow
      return is_expected && replies_.front().kind == Reply::Kind::kSettings ? Verdict::kDrop
                                                                            : Verdict::kForward;
    case 'd':  // CopyData
    case 'c':  // CopyDone
    case 'H':  // CopyOutResponse
    case 'A':  // NotificationResponse
      return Verdict::kForward;
    case 'N':
      return is_expected && replies_.front().is_ours && !replies_.back().is_bound ? Verdict::kDrop
                                                                                  : Verdict::kForward;
    case 'T':
    case 'n':
      if (is_expected && replies_.front().is_bound)  // a simple query knows no NoData
        return header.type == 'n' ? Verdict::kDrop : Verdict::kForward;
      if (is_expected && replies_.front().kind == Reply::Kind::kDescribeStatement) return Verdict::kBody;
      if (is_expected && replies_.front().kind == Reply::Kind::kDescribePortal) return Verdict::kBody;
      return is_expected && replies_.front().kind == Reply::Kind::kSettings ? Verdict::kDrop
                                                                            : Verdict::kForward;
    case 't':
      return Verdict::kBody;
    case '1':
    case '2':
    case '3':
      return Verdict::kBody;
    case 'C':
    case 'I':
    case 's':
      return Verdict::kBody;
    case 'S':
    case 'E':
    case 'G':
    case 'Z':
      return Verdict::kBody;
    default:
      return Verdict::kDrop;
  }
}

Session::Verdict Session::on_server_body(char type, std::string_view body) {
  if (phase_ == Phase::kPreparing) return on_preparing_body(type, body);
  if (phase_ == Phase::kAbandoned) return on_abandoned_body(type, body);
  switch (type) {
    case 'S':
      return on_parameter_status(body);
    case 'E':
      return on_error(body);
    case 'Z':
      return on_ready(body.empty() ? 'I' : body[0]);
    case 'G':
      return on_copy_in_response();
    case 't':
    case 'T':
    case 'n':
      return on_description(type, body);
    default:
      break;
  }
  // '1', '2', '3', 'C', 'I', 's': the end of what one message asked for, or of one part of a simple query.
  if (replies_.is_empty()) return Verdict::kDrop;
  Reply& reply = replies_.front();
  const bool is_ours = reply.is_ours;
  if (reply.kind == Reply::Kind::kParse && reply.statement != nullptr) {
    reply.statement->is_accepted = true;
    if (reply.statement->schema_version != environment_.statements->schema_version()) {
      reply.statement->schema_version = environment_.statements->schema_version();
      reply.statement->description.clear();
    }
  }
  if (reply.kind == Reply::Kind::kSettings || reply.kind == Reply::Kind::kRehearsalEnd) return Verdict::kDrop;
  // A held ROLLBACK TO is none of these: settings_ has seen it.
  if (type == 'C' && !is_ours && settings_.has_marks()) on_transaction_tag(body);
  if (!is_ours && (type == 'C' || type == 'I')) on_part_complete();
  if (reply.is_bound) {
    keep_bound_tag(body);
    return Verdict::kDrop;
  }
  if (reply.kind == Reply::Kind::kQuery) return Verdict::kForward;
  if (is_ours) {
    pop_reply();
    flush_local_replies();
    return Verdict::kDrop;
  }
  // Forwarded before the replies of ours that follow it: append it here to keep the order.
  {
    routing::FrameWriter frame(*outbox_.to_client, type);
    outbox_.to_client->append(body);
  }
  pop_reply();
  flush_local_replies();
  return Verdict::kDrop;
}

// The part that just completed confirms its effects.
void Session::on_part_complete() {
  const size_t part = completed_parts_++;
  for (const SettingEffect& effect : effects_) {
    if (effect.part != part) continue;
    if (effect.kind == SettingEffect::Kind::kPin) {
      is_pinned_ = true;
    } else if (effect.kind == SettingEffect::Kind::kDdl) {
      on_schema_change();
    } else {
      settings_.apply(effect, server_->settings, client_parameters_);
      // It came behind a held SET LOCAL of perhaps the same setting, and has run before it.
      if (!held_.empty() && has_held_settings_) hold(ClientSettings::statement_of(effect));
    }
  }
}

void Session::on_schema_change() {
  ++environment_.ddl_statements;
  environment_.statements->forget_schema();
}

void Session::on_transaction_tag(std::string_view tag) {
  if (tag.starts_with("COMMIT")) settings_.commit();
  // ROLLBACK is the tag of ROLLBACK TO SAVEPOINT as well; that one has an effect of its own.
  const bool is_partial = std::any_of(effects_.begin(), effects_.end(), [this](const SettingEffect& effect) {
    return effect.kind == SettingEffect::Kind::kRollbackTo && effect.part == completed_parts_;
  });
  if (tag.starts_with("ROLLBACK") && !is_partial) settings_.roll_back(&server_->settings);
}

Session::Verdict Session::on_parameter_status(std::string_view body) {
  const auto parameter = routing::parse_parameter_status(body);
  if (!parameter) return Verdict::kDrop;
  server_->parameters =
      environment_.name_values->with(server_->parameters, parameter->first, parameter->second);
  client_parameters_ =
      environment_.name_values->with(client_parameters_, parameter->first, parameter->second);
  return Verdict::kForward;
}

// Tells the client what differs from what it was told before.
void Session::tell_parameters(const pool::NameValuesRef& parameters) {
  if (client_parameters_ == parameters) return;
  for (const auto& [name, value] : parameters->entries()) {
    const std::string* known = client_parameters_->find(name);
    if (known == nullptr || *known != value)
      routing::append_parameter_status(*outbox_.to_client, name, value);
  }
  client_parameters_ = parameters;
}

// PostgreSQL takes a transaction's settings back when it fails, not when it ends. The server session may have
// had others before it than the client.
void Session::tell_restored_parameters() {
  if (const pool::NameValuesRef* seen = settings_.seen_when_failed()) tell_parameters(*seen);
}

Session::Verdict Session::on_description(char type, std::string_view body) {
  if (replies_.is_empty()) return Verdict::kForward;
  Reply& reply = replies_.front();
  if (reply.kind == Reply::Kind::kDescribeStatement && reply.statement != nullptr) {
    PreparedStatement& statement = *reply.statement;
    if (type == 't') description_.clear();
    {
      routing::FrameWriter frame(description_, type);
      description_.append(body);
    }
    if (type == 't') {
      if (const auto types = routing::parse_parameter_description(body)) statement.parameter_types = *types;
      return Verdict::kForward;
    }
    // Whole at once: other clients share the statement, and this server may be lost between the two.
    statement.description.assign(description_.view());
    statement.schema_version = environment_.statements->schema_version();
  }
  if (type == 't') return Verdict::kForward;
  if (reply.kind != Reply::Kind::kDescribeStatement && reply.kind != Reply::Kind::kDescribePortal)
    return Verdict::kForward;
  {
    routing::FrameWriter frame(*outbox_.to_client, type);
    outbox_.to_client->append(body);
  }
  pop_reply();
  flush_local_replies();
  return Verdict::kDrop;
}

Session::Verdict Session::on_error(std::string_view body) {
  if (!replies_.is_empty() && replies_.front().kind == Reply::Kind::kSettings) {
    has_settling_failed_ = true;
    // It has failed the client's transaction as well.
    if (transaction_status_ != 'I') forward_error(body);
    return Verdict::kDrop;
  }
  has_error_ = true;
  copy_.reset();
  if (!replies_.is_empty() && tells_of_changed_schema(body) &&
      environment_.statements->is_current(replies_.front().key.statement)) {
    on_schema_change();  // somebody has changed tables behind our back
  }
  if (replies_.is_empty()) return Verdict::kDrop;  // the server is going away: its end of stream follows
  if (replies_.back().is_bound) {
    on_bound_error(body);
    return Verdict::kDrop;
  }
  const bool is_simple = replies_.front().kind == Reply::Kind::kQuery;
  const bool is_ours = replies_.front().is_ours;
  const bool is_refusal = replies_.front().kind == Reply::Kind::kPoison || copy_failed_;
  if (refusal_ && is_refusal) {
    routing::append_error(*outbox_.to_client, *refusal_);
    refusal_.reset();
    copy_failed_ = false;
  } else {
    forward_error(body);
  }
  effects_.clear();
  if (phase_ == Phase::kCopyIn) enter(is_simple ? Phase::kInFlight : Phase::kGroup);
  if (is_simple) return Verdict::kDrop;
  const bool is_poisoned_query = replies_.front().kind == Reply::Kind::kPoison && replies_.size() == 2 &&
                                 replies_.back().kind == Reply::Kind::kQuery;
  if (is_poisoned_query) {
    pop_reply();
    return Verdict::kDrop;
  }
  drop_replies_until_sync();
  if (is_ours && replies_.is_empty() && phase_ == Phase::kInFlight) {
    // A held BEGIN failed: the server skips the query behind it until a Sync comes.
    routing::append_sync(*outbox_.to_server);
    replies_.push(Reply{Reply::Kind::kSync});
    return Verdict::kDrop;
  }
  if (replies_.is_empty()) {
    // The client's own Sync is still to come.
    skip_until_sync_ = true;
    enter(Phase::kGroup);
  }
  return Verdict::kDrop;
}

// Positions count characters of the text that the server got; the client knows its own.
void Session::forward_error(std::string_view body) {
  const Reply& reply = replies_.front();
  if (reply.kind == Reply::Kind::kParse && reply.statement != nullptr && reply.key.shard_plus_one > 0) {
    Route route;
    route.target = Route::Target::kShard;
    route.shard.value = reply.key.shard_plus_one - 1;
    routing::collect_text_changes(reply.statement->compiled->view(), route, catalog(), text_changes_);
  } else if (reply.kind != Reply::Kind::kQuery) {
    text_changes_.clear();
  }
  const bool is_in_bound_text = replies_.back().is_bound;  // which the client has never seen
  routing::append_error_moved(*outbox_.to_client, body, [&](uint32_t sent) {
    return is_in_bound_text ? 0 : routing::original_position(text_changes_, sent);
  });
}

Session::Verdict Session::on_ready(char status) {
  transaction_status_ = status;
  if (replies_.is_empty()) return Verdict::kDrop;
  if (replies_.front().kind == Reply::Kind::kSettings) {
    pop_reply();
    if (!has_settling_failed_) server_->settings = settings_.wanted();
    finish_group(status);
    return Verdict::kDrop;
  }
  if (replies_.front().kind == Reply::Kind::kRehearsalEnd) {
    pop_reply();
    end_group(status);
    return Verdict::kDrop;
  }
  const bool is_ours = replies_.front().is_ours;
  assert(replies_.front().kind == Reply::Kind::kSync || replies_.front().kind == Reply::Kind::kQuery);
  if (replies_.front().is_bound) {
    if (replies_.front().is_unrun) {
      send_unbound();
      return Verdict::kDrop;
    }
    tell_bound_tag();
  }
  pop_reply();
  flush_local_replies();
  if (is_ours) {
    // The server only described something: the statement itself goes elsewhere, see need_server().
    const bool was_failed = has_error_;
    has_error_ = false;
    end_lease(LeaseEnd::kReturn);
    enter(phase_after_lease_);
    if (phase_ == Phase::kCopyUnrouted) {
      outbox_.lease_request = LeaseRequest{pending_route_->node, std::nullopt};
      enter(Phase::kWaiting);
    } else if (was_failed) {
      skip_until_sync_ = true;
    }
    return Verdict::kDrop;
  }
  end_group(status);
  return Verdict::kDrop;
}

// What is known of the messages up to a ReadyForQuery ends with it, or with their server.
void Session::reset_group() {
  has_error_ = false;
  is_rehearsing_ = false;
  skip_until_sync_ = false;
  is_reading_in_doubt_ = false;
  effects_.clear();
  completed_parts_ = sent_parts_ = 0;
  is_group_pure_ = true;
  copy_.reset();
  copy_failed_ = false;
  refusal_.reset();
}

// What the server was sent has been answered, with this status.
void Session::end_group(char status) {
  if (is_rehearsing_ && status != 'I') {
    send_own_query("ROLLBACK");
    replies_.push(Reply{Reply::Kind::kRehearsalEnd, true});
    enter(Phase::kInFlight);
    return;
  }
  is_rehearsing_ = false;
  // A statement that any node answers may have run beside the held transaction.
  if (!held_.empty()) {
    if (has_error_) fail_held();
  } else if (status == 'I') {
    if (has_error_) {
      settings_.roll_back(&server_->settings);
    } else {
      settings_.commit();
    }
  }
  if (status == 'E') tell_restored_parameters();
  if (status != 'E' && server_->settings != settings_.wanted()) {
    // RESET went to the server's defaults, or a rollback to what this server session had before; what the
    // client asked for comes next, and the client hears of it before its Ready.
    has_settling_failed_ = false;
    send_own_query(settings_.statement_to_reach(server_->settings));
    replies_.push(Reply{Reply::Kind::kSettings, true});
    enter(Phase::kInFlight);
    return;
  }
  finish_group(status);
}

void Session::finish_group(char status) {
  routing::append_ready(*outbox_.to_client, visible_status(status));
  if (status == 'I') {
    if (held_.empty()) has_local_settings_ = is_reading_of_transaction_ = false;
    ++environment_.traffic[server_->node.value].transactions;
    portals_.clear();
    portal_effects_.clear();
    if (!is_pinned_) end_lease(LeaseEnd::kReturn);
  }
  reset_group();
  come_to_rest();
}

Session::Verdict Session::on_preparing_body(char type, std::string_view body) {
  if (type == 'S') {
    if (const auto parameter = routing::parse_parameter_status(body)) {
      server_->parameters =
          environment_.name_values->with(server_->parameters, parameter->first, parameter->second);
    }
    return Verdict::kDrop;
  }
  if (type == 'E') {
    preparing_error_ = std::make_unique<Error>(routing::parse_error_fields(body));
    return Verdict::kDrop;
  }
  if (type != 'Z') return Verdict::kDrop;
  if (!preparing_error_) {
    server_->settings = settings_.wanted();
    on_server_prepared();
    return Verdict::kDrop;
  }
  // The statements of one query string are one transaction: none of the settings was changed.
  const Error error = *std::exchange(preparing_error_, nullptr);
  end_lease(LeaseEnd::kReturn);
  go_on_without_server(error);
  return Verdict::kDrop;
}

// The client is gone: wait until the server has answered all it was sent, roll back what is open, then give
// it back. Replies leave the queue as they do for a client: who gets the server next must not get one of
// them.
Session::Verdict Session::on_abandoned_body(char type, std::string_view body) {
  drop_local_replies();
  const Reply::Kind kind = replies_.is_empty() ? Reply::Kind::kSync : replies_.front().kind;
  const bool is_simple =
      kind == Reply::Kind::kQuery || kind == Reply::Kind::kSettings || kind == Reply::Kind::kRehearsalEnd;
  switch (type) {
    case 'Z':
      on_abandoned_ready(body.empty() ? 'I' : body[0]);
      break;
    case 'S':
      if (const auto parameter = routing::parse_parameter_status(body)) {
        server_->parameters =
            environment_.name_values->with(server_->parameters, parameter->first, parameter->second);
      }
      break;
    case 'G':
      routing::append_copy_fail(*outbox_.to_server, "the client has disconnected");
      if (is_simple) break;
      // A Sync that came behind the Execute is ignored by a server that takes COPY data.
      while (replies_.size() > 0) pop_reply();
      routing::append_sync(*outbox_.to_server);
      replies_.push(Reply{Reply::Kind::kSync});
      break;
    case 'E':
      if (is_simple || replies_.is_empty()) break;
      if (kind == Reply::Kind::kPoison && replies_.size() == 2 &&
          replies_.back().kind == Reply::Kind::kQuery) {
        pop_reply();  // a refused query: its ReadyForQuery follows by itself
        break;
      }
      drop_replies_until_sync();
      if (!replies_.is_empty()) break;
      routing::append_sync(*outbox_.to_server);
      replies_.push(Reply{Reply::Kind::kSync});
      break;
    case 'T':
    case 'n':
      if (kind == Reply::Kind::kDescribeStatement || kind == Reply::Kind::kDescribePortal) pop_reply();
      break;
    case '1':
    case '2':
    case '3':
    case 'C':
    case 'I':
    case 's':
      if (!is_simple && kind != Reply::Kind::kSync) pop_reply();
      break;
    default:
      break;
  }
  return Verdict::kDrop;
}

void Session::on_abandoned_ready(char status) {
  if (!replies_.is_empty()) pop_reply();
  drop_local_replies();
  if (!replies_.is_empty()) return;
  if (status == 'I') {
    end_lease(abandoned_end_);
    enter(Phase::kClosed);
    return;
  }
  send_own_query("ROLLBACK");
  replies_.push(Reply{Reply::Kind::kQuery});
}

void Session::drop_local_replies() {
  while (!replies_.is_empty() && replies_.front().kind == Reply::Kind::kLocal) {
    local_bytes_.consume(replies_.front().local_bytes);
    replies_.pop();
  }
}

}  // namespace mosaic::proxy
