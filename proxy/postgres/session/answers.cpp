// What servers answer: which frames go on to the client, which were meant for us, and what they confirm.
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

// The server process ends: it is gone with this message (field V, in English whatever the locale).
bool is_fatal(std::string_view error_body) {
  constexpr std::string_view kFatal("\0VFATAL\0", 8), kPanic("\0VPANIC\0", 8);
  return error_body.find(kFatal) != std::string_view::npos ||
         error_body.find(kPanic) != std::string_view::npos;
}

std::string_view until_zero(std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); }

}  // namespace

// --- the queue ---

void Session::pop_expectation() {
  Expectation& front = leg_.owed().front();
  if (front.statement != nullptr) environment_.statements->release(*front.statement);
  if (front.effects) statements_.keep(front.effects->names);
  leg_.owed().pop();
}

void Session::flush_local_replies() {
  ExpectationQueue& owed = leg_.owed();
  while (!owed.is_empty() && owed.front().kind == Kind::kLocal) {
    const std::string_view bytes(leg_.local_bytes().data(), owed.front().local_bytes);
    if (!bytes.empty()) end_attempt_with(bytes[0]);
    outbox_.to_client->append(bytes);
    leg_.local_bytes().consume(owed.front().local_bytes);
    pop_expectation();
  }
  if (owed.is_empty() && phase_ == Phase::kDraining) enter(waiting_.phase_after);
}

// A reply of this type is about to be told: what its message asked for is settled, or the attempt is over.
void Session::end_attempt_with(char type) {
  if (type == '1') return attempt_.settle_first('P');
  if (type == '3') return attempt_.settle_first('C');
  attempt_.stop();
}

// What was assumed of a message that was skipped, or that failed.
void Session::undo(Expectation& expectation) {
  if (expectation.effects) {
    statements_.take_back(expectation.effects->names);
    if (expectation.effects->portal) statements_.drop_portal(*expectation.effects->portal);
  }
  if (expectation.kind == Kind::kParse) {
    // An unnamed Parse that failed says nothing about the named statement of the same text.
    if (expectation.is_unnamed) {
      leg_.server().unnamed.reset();
    } else {
      leg_.server().statements.erase(expectation.key);
    }
  }
  const bool is_prepare = expectation.kind == Kind::kExecute || expectation.kind == Kind::kQuery;
  if (is_prepare && expectation.statement != nullptr) leg_.server().statements.erase(expectation.key);
  if (expectation.kind == Kind::kClose && expectation.is_ours && expectation.key.statement != 0)
    leg_.server().to_close.push_back(expectation.key);
}

// After an error a server skips what was sent until the next Sync: so do we. A query that it skips because
// what we sent ahead has failed is still to be ended for the client: by a Sync.
void Session::skip_to_sync() {
  ExpectationQueue& owed = leg_.owed();
  size_t count = 0;
  bool has_query = false, is_clients_group = false;
  while (count < owed.size() && owed.at(count).kind != Kind::kSync && !owed.at(count).is_bound) {
    has_query |= owed.at(count).kind == Kind::kQuery;
    is_clients_group |= owed.at(count).kind != Kind::kQuery && !owed.at(count).is_ours;
    ++count;
  }
  // A Parse that is owed came behind all that is skipped; a Sync of ours, on which it waits, does not end
  // that.
  const bool is_of_group = count == owed.size() || (count + 1 == owed.size() && owed.back().is_ours);
  if (is_of_group && statements_.owed() != nullptr) statements_.forget_owed();
  for (size_t i = count; i-- > 0;) undo(owed.at(i));
  for (; count > 0; --count) {
    if (owed.front().kind == Kind::kLocal) leg_.local_bytes().consume(owed.front().local_bytes);
    pop_expectation();
  }
  if (!owed.is_empty()) return;
  if (has_query && !is_clients_group) {
    leg_.send_sync();
    return;
  }
  // The client's own Sync is still to come.
  group_.skips_until_sync = true;
  if (phase_ != Phase::kAbandoned) enter(Phase::kGroup);
}

// --- frames ---

Session::Verdict Session::on_server_frame(const routing::FrameHeader& header) {
  if (phase_ == Phase::kAbandoned) {
    return header.type == 'd' || header.type == 'N' || header.type == 'A' ? Verdict::kDrop : Verdict::kBody;
  }
  const ExpectationQueue& owed = leg_.owed();
  const Expectation* front = owed.is_empty() ? nullptr : &owed.front();
  const bool is_own = front != nullptr && front->kind == Kind::kOwnQuery;
  switch (header.type) {
    case 'D':  // DataRow
      if (is_own) return Verdict::kBody;
      if (front != nullptr && front->is_ours) return Verdict::kDrop;
      attempt_.stop();
      return Verdict::kForward;
    case 'd':  // CopyData
    case 'c':  // CopyDone
    case 'H':  // CopyOutResponse
    case 'V':  // FunctionCallResponse
    case 'W':  // CopyBothResponse
      attempt_.stop();
      return Verdict::kForward;
    case 'A':  // NotificationResponse
      return Verdict::kForward;
    case 'N':
      if (front == nullptr) return Verdict::kForward;
      if (is_own || (front->is_ours && !owed.back().is_bound)) return Verdict::kDrop;
      return front->kind == Kind::kQuery || front->kind == Kind::kParse || attempt_.holds_replies()
                 ? Verdict::kBody
                 : Verdict::kForward;
    case 'T':
    case 'n':
      if (is_own) return Verdict::kDrop;
      // A simple query knows no NoData.
      if (front != nullptr && front->is_bound && header.type == 'n') return Verdict::kDrop;
      return attempt_.is_kept() || (front != nullptr && (front->kind == Kind::kDescribeStatement ||
                                                         front->kind == Kind::kDescribePortal))
                 ? Verdict::kBody
                 : Verdict::kForward;
    case 't':
    case '1':
    case '2':
    case '3':
    case 'C':
    case 'I':
    case 's':
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
  if (phase_ == Phase::kAbandoned) return on_abandoned_body(type, body);
  switch (type) {
    case 'S':
      return on_parameter_status(body);
    case 'E':
      return on_error(body);
    case 'Z':
      return on_ready(body.empty() ? 'I' : body[0]);
    case 'N':  // its position is in the text that the server got
      forward_error(body, 'N');
      return Verdict::kDrop;
    default:
      break;
  }
  if (leg_.owed().is_empty()) return Verdict::kDrop;
  if (leg_.owed().front().kind == Kind::kOwnQuery) return on_own_body(type, body);
  switch (type) {
    case 'G':
      return on_copy_in_response();
    case 't':
    case 'T':
    case 'n':
      return on_description(type, body);
    case 'D':
      return Verdict::kForward;
    default:
      return on_completion(type, body);
  }
}

// Of our own queries only the last row matters: its fields, as text, behind each other.
Session::Verdict Session::on_own_body(char type, std::string_view body) {
  if (type != 'D') return Verdict::kDrop;
  forget_own_answer();
  routing::BodyReader reader(body);
  for (uint16_t count = reader.read_u16(); count > 0 && reader.is_ok(); --count) {
    const uint32_t size = reader.read_u32();
    const bool is_null = size == UINT32_MAX;
    waiting_.fields.emplace_back(is_null ? std::nullopt
                                         : std::optional(std::string(reader.read_bytes(size))));
    if (!is_null) waiting_.answer += *waiting_.fields.back();
  }
  return Verdict::kDrop;
}

// '1', '2', '3', 'C', 'I', 's': the end of what one message asked for, or of one part of a simple query.
Session::Verdict Session::on_completion(char type, std::string_view body) {
  Expectation& front = leg_.owed().front();
  const bool is_ours = front.is_ours;
  const bool is_held = type == '2' && attempt_.holds_replies();
  if (!is_ours && !is_held) end_attempt_with(type);
  const bool is_prepare = front.kind == Kind::kExecute || front.kind == Kind::kQuery;
  if ((front.kind == Kind::kParse || is_prepare) && front.statement != nullptr) {
    front.statement->is_accepted = true;
    if (front.statement->schema_version != environment_.statements->schema_version()) {
      front.statement->schema_version = environment_.statements->schema_version();
      front.statement->description.clear();
    }
  }
  if (!is_ours && (type == 'C' || type == 'I' || type == 's')) {
    if (type == 'C') count_rows(front, until_zero(body));
    complete_part(front, type, until_zero(body));
    if (front.kind == Kind::kExecute)
      end_timing(front, type == 's' ? TimingEnd::kSuspended : TimingEnd::kCompleted);
  }
  if (front.is_bound) {
    keep_bound_tag(body);
    return Verdict::kDrop;
  }
  if (front.kind == Kind::kQuery) return Verdict::kForward;
  if (!is_ours) {
    // Forwarded before the replies of ours that follow it: appended here to keep the order.
    tell_or_hold(type, body);
  }
  pop_expectation();
  flush_local_replies();
  if (leg_.owed().is_empty()) attempt_.stop();
  return Verdict::kDrop;
}

void Session::tell_or_hold(char type, std::string_view body) {
  if (type != '1' && type != '3') {
    if (attempt_.holds_replies()) return attempt_.hold(type, body);
    attempt_.stop();
  }
  routing::FrameWriter frame(*outbox_.to_client, type);
  outbox_.to_client->append(body);
}

// The part that just completed confirms its effects.
void Session::complete_part(Expectation& expectation, char type, std::string_view tag) {
  const size_t part = expectation.completed_parts++;
  bool is_partial = false;  // ROLLBACK is the tag of ROLLBACK TO SAVEPOINT as well
  if (expectation.effects) {
    for (const Effect& effect : expectation.effects->on_complete) {
      if (effect.part != part && expectation.kind == Kind::kQuery) continue;
      is_partial |= effect.kind == Effect::Kind::kRollbackTo;
      // set_config() runs for each row: none of them came now, perhaps earlier.
      if (effect.kind == Effect::Kind::kSet && (type == 's' || tag == "SELECT 0")) {
        transaction_.untold_settings.push_back(effect.name);
      } else if (type != 's') {
        apply(effect);
        // Those of the extended protocol were dropped as it was sent: others may have been named since.
        if (drops_names(effect) && expectation.kind == Kind::kQuery) {
          statements_.drop_all(nullptr);
          if (effect.kind == Effect::Kind::kDiscardAll) statements_.drop_portals();
        }
      }
    }
  }
  if (type != 'C' || is_partial) return;
  const bool is_end = tag == "COMMIT" || tag == "ROLLBACK" || tag == "PREPARE TRANSACTION";
  if (is_end && expectation.kind == Kind::kQuery) statements_.drop_portals();
  // What fails behind a savepoint fails alone: the transaction keeps its modes.
  const bool has_failed = leg_.status() == 'E' && !view_.has_savepoints();
  if (tag == "COMMIT" || tag == "PREPARE TRANSACTION") {
    view_.commit();
    transaction_.on_ended(has_failed);
  } else if (tag == "ROLLBACK") {
    view_.roll_back(&leg_.server().settings);
    transaction_.on_ended(has_failed);
  }
}

Session::Verdict Session::on_parameter_status(std::string_view body) {
  const auto parameter = routing::parse_parameter_status(body);
  if (!parameter) return Verdict::kDrop;
  pool::NameValuesRef& known = leg_.server().parameters;
  known = environment_.name_values->with(known, parameter->first, parameter->second);
  // What our own messages change is told with the reply to the client's.
  const bool is_ours = leg_.owed().is_empty() || leg_.owed().front().is_ours || phase_ == Phase::kResting;
  const std::string* told = view_.told()->find(parameter->first);
  if (is_ours || (told != nullptr && *told == parameter->second)) return Verdict::kDrop;
  view_.set_told(environment_.name_values->with(view_.told(), parameter->first, parameter->second));
  return Verdict::kForward;
}

Session::Verdict Session::on_description(char type, std::string_view body) {
  Expectation& front = leg_.owed().front();
  if (front.kind == Kind::kDescribeStatement && front.statement != nullptr) {
    PreparedStatement& statement = *front.statement;
    if (type == 't') leg_.description.clear();
    {
      routing::FrameWriter frame(leg_.description, type);
      leg_.description.append(body);
    }
    if (type == 't') {
      if (const auto types = routing::parse_parameter_description(body)) statement.parameter_types = *types;
    }
    // Whole at once: other clients share the statement, and this server may be lost between the two.
    // What nobody else sees yet is not for them.
    if (type != 't' && !parses_unlike_others() && !has_temporary()) {
      statement.description.assign(leg_.description.view());
      statement.schema_version = environment_.statements->schema_version();
    }
  }
  tell_or_hold(type, body);
  if (type == 't' || (front.kind != Kind::kDescribeStatement && front.kind != Kind::kDescribePortal))
    return Verdict::kDrop;
  pop_expectation();
  flush_local_replies();
  if (leg_.owed().is_empty()) attempt_.stop();
  return Verdict::kDrop;
}

// --- errors ---

Session::Verdict Session::on_error(std::string_view body) {
  ExpectationQueue& owed = leg_.owed();
  if (owed.is_empty() || is_fatal(body)) {
    // The server is going away: its end of stream follows, and the client hears of it then.
    leg_.last_words = std::make_unique<Error>(routing::parse_error_fields(body));
    return Verdict::kDrop;
  }
  Expectation& front = owed.front();
  if (front.kind == Kind::kOwnQuery) {
    waiting_.own_error = std::make_unique<Error>(routing::parse_error_fields(body));
    if (front.purpose != Purpose::kSettle) return Verdict::kDrop;
    group_.has_settling_failed = true;
    // It has failed the client's transaction as well.
    if (leg_.status() != 'I') forward_error(body);
    return Verdict::kDrop;
  }
  group_.has_error = true;
  copy_.reset();
  if (tells_of_changed_schema(body) && environment_.statements->is_current(front.key.statement))
    on_schema_change();  // somebody has changed tables behind our back
  if (is_fenced(front, body) || may_try_again(front, body)) {
    group_.has_error = false;
    group_.is_retrying = true;
    if (front.kind == Kind::kQuery) {  // its ReadyForQuery follows
      enter(Phase::kLeaving);
      return Verdict::kDrop;
    }
    skip_to_sync();
    group_.skips_until_sync = false;
    if (owed.is_empty()) leg_.send_own_sync(Purpose::kRetry);
    enter(Phase::kLeaving);
    return Verdict::kDrop;
  }
  attempt_.stop();
  if (front.kind != Kind::kQuery) end_timing_of_failed();
  if (front.effects && front.effects->refusal) {
    routing::append_error(*outbox_.to_client, *front.effects->refusal);
  } else if (is_for_moving(routing::parse_error_fields(body))) {
    if (last_shard_ >= 0) ++environment_.moving[static_cast<uint32_t>(last_shard_)].refused;
    routing::append_error(*outbox_.to_client, moved_error());
  } else {
    forward_error(body);
  }
  if (!is_in_transaction()) statements_.drop_portals();
  const Phase before = phase_;
  const bool is_simple = front.kind == Kind::kQuery;
  if (is_simple) {
    undo(front);
    front.effects.reset();
    front.local_bytes = 0;  // complete it was, but it does not commit
    if (front.is_bound) leg_.local_bytes().clear();
    if (phase_ == Phase::kCopyIn) enter(Phase::kInFlight);
    return Verdict::kDrop;
  }
  if (phase_ == Phase::kCopyIn) enter(Phase::kGroup);
  const bool is_unnamed = front.kind == Kind::kParse && front.is_client_unnamed;
  skip_to_sync();
  if (is_unnamed) drop_unnamed();
  // Whoever waits for the end of what was sent goes on waiting for it.
  if (!owed.is_empty() && (before == Phase::kLeaving || before == Phase::kInFlight)) enter(before);
  return Verdict::kDrop;
}

// Positions count characters of the text that the server got; the client knows its own.
void Session::forward_error(std::string_view body, char type) {
  const Expectation& front = leg_.owed().front();
  if (front.kind == Kind::kParse && front.statement != nullptr && front.key.shard_plus_one > 0) {
    Route route;
    route.target = Route::Target::kShard;
    route.shard.value = front.key.shard_plus_one - 1;
    routing::collect_text_changes(front.statement->compiled->view(), route, catalog(),
                                  analysis_.text_changes);
  } else if (front.kind != Kind::kQuery && !front.is_renamed) {
    analysis_.text_changes.clear();
  }
  const bool is_in_bound_text = leg_.owed().back().is_bound;  // which the client has never seen
  const auto original = [&](uint32_t sent) {
    return is_in_bound_text ? 0 : routing::original_position(analysis_.text_changes, sent);
  };
  const bool is_held = type == 'N' && attempt_.holds_replies();
  routing::append_error_moved(is_held ? attempt_.held() : *outbox_.to_client, body, original, type);
}

}  // namespace mosaic::proxy
