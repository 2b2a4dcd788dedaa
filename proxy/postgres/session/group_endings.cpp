// ReadyForQuery: what it ends, and what becomes of the server behind it: kept, given back, asked what is left
// in its session, or brought to rest.

#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Pin;
using routing::Pins;

namespace {

// What a client may have left in a server session that Mosaic does not know exactly, taken out again; the
// plans that Mosaic has made there stay. The last column: statements prepared by others.
constexpr std::string_view kRest =
    "RESET ROLE;RESET SESSION AUTHORIZATION;RESET ALL;UNLISTEN *;CLOSE ALL;"
    "SELECT pg_catalog.pg_advisory_unlock_all();DISCARD TEMP;DISCARD SEQUENCES;"
    "SELECT pg_catalog.setseed((pg_catalog.hashtext((pg_catalog.gen_random_uuid())::pg_catalog.text) "
    "OPERATOR(pg_catalog./) 2147483648.0)::pg_catalog.float8);"
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements "
    "WHERE pg_catalog.left(name, 7) OPERATOR(pg_catalog.<>) 'mosaic_'";

// One letter for each reason that the server session is still needed for (see Pin).
constexpr std::string_view kLook =
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN 'L' ELSE '' END,"
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
    "'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid OPERATOR(pg_catalog.=) "
    "pg_catalog.pg_my_temp_schema()) THEN 'T' ELSE '' END,"
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) THEN 'C' ELSE '' END,"
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND "
    "pid "
    "OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) THEN 'A' ELSE '' END";

}  // namespace

Session::Verdict Session::on_ready(char status) {
  leg_.on_ready(status);
  ExpectationQueue& owed = leg_.owed();
  if (owed.is_empty()) return Verdict::kDrop;
  Expectation& front = owed.front();
  assert(front.kind == Kind::kSync || front.kind == Kind::kQuery || front.kind == Kind::kOwnQuery);
  const bool is_own = front.kind == Kind::kOwnQuery || (front.kind == Kind::kSync && front.is_ours);
  const Purpose purpose = front.purpose;
  if (!group_.is_retrying && !is_own) {
    attempt_.stop();
    fence_.refusals = fence_.denials = 0;
  }
  if (!group_.is_retrying) end_timing(front, group_.has_error ? TimingEnd::kFailed : TimingEnd::kCompleted);
  if (front.is_bound && !group_.is_retrying) {
    outbox_.to_client->append(leg_.local_bytes().data(), front.local_bytes);
    leg_.local_bytes().consume(front.local_bytes);
    environment_.buffers->take_back(leg_.local_bytes());
  }
  pop_expectation();
  if (group_.fenced_shard) {
    try_elsewhere(status);
  } else if (group_.is_retrying) {
    try_again();
  } else if (is_own) {
    on_own_ready(purpose, status);
  } else {
    flush_local_replies();
    end_group(status);
  }
  return Verdict::kDrop;
}

void Session::on_own_ready(Purpose purpose, char status) {
  switch (purpose) {
    case Purpose::kAssign:
      on_assigned();
      break;
    case Purpose::kSettle:
      if (!group_.has_settling_failed) leg_.server().settings = view_.wanted();
      finish_group(status);
      break;
    case Purpose::kTakeBack:
      leg_.server().settings = view_.at_begin();
      [[fallthrough]];
    case Purpose::kLeave:
      on_left(status);
      break;
    case Purpose::kSegment:
      if (group_.has_error) {
        on_left(status);
      } else {
        group_.tells_no_ready = true;
        end_group(status);
      }
      break;
    case Purpose::kLook:
      on_looked();
      break;
    case Purpose::kReadBack:
      on_read_back();
      break;
    case Purpose::kRest:
      on_rested();
      break;
    case Purpose::kSearch:
      on_search_answer();
      break;
    case Purpose::kForget:
      on_sequences_forgotten();
      break;
    case Purpose::kFail:
      on_failed_again(status);
      break;
    case Purpose::kRetry:
    case Purpose::kAbandoned:
      break;
  }
}

// The server skipped the messages of the attempt and is ready again: now once more.
void Session::try_again() {
  flush_local_replies();
  take_attempt_back();
  enter(Phase::kReady);
}

// What the server was sent has been answered, with this status.
void Session::end_group(char status) {
  if (status == 'I') {
    if (group_.has_error) {
      view_.roll_back(&leg_.server().settings);
    } else {
      view_.commit();
    }
  }
  if (status != 'E') {
    view_.complete_date_style(leg_.server().settings, leg_.server().parameters);
    if (leg_.server().settings != view_.wanted()) {
      // RESET went to the server's defaults, or a rollback to what this server session had before; what the
      // client asked for comes next, and the client hears of it before its Ready.
      group_.has_settling_failed = false;
      leg_.send_own_query(Purpose::kSettle,
                          ClientView::statement_to_reach(leg_.server().settings, view_.wanted()));
      enter(Phase::kInFlight);
      return;
    }
  }
  finish_group(status);
}

void Session::finish_group(char status) {
  view_.tell(leg_.server().parameters, *outbox_.to_client);
  if (!group_.tells_no_ready) routing::append_ready(*outbox_.to_client, status);
  const bool may_change_pins = transaction_.may_change_pins;
  if (transaction_.traces.has(routing::Trace::kUnknown)) leg_.remains.is_unclean = true;
  const Pins pins = transaction_.pins;
  if (transaction_.traces.has(routing::Trace::kSequences) &&
      !std::exchange(leg_.server().has_used_sequences, true))
    leg_.remains.has_own_sequences = true;
  if (status == 'I') {
    // Seen by others only now.
    if (transaction_.has_changed_schema) on_schema_change();
    waiting_.untold_settings = std::exchange(transaction_.untold_settings, {});
  }
  transaction_.on_ready(status, group_.has_error);
  begin_group();
  copy_.reset();
  if (status != 'I') {
    come_to_rest();
    return;
  }
  ++environment_.traffic[leg_.node().value].transactions;
  statements_.drop_portals();
  portals_.effects.clear();
  portals_.has_unnamed = false;
  const bool is_pinned_or_may_be = !leg_.remains.pins.is_empty() || !pins.is_empty();
  leg_.remains.pins.add(pins);
  leg_.remains.may_change_pins = is_pinned_or_may_be && may_change_pins;
  if (waiting_.untold_settings.empty()) return look();
  std::string text = "SELECT ";
  for (const std::string& name : waiting_.untold_settings) {
    if (text.back() == ')') text += ',';
    text += "pg_catalog.current_setting(" + routing::quote_literal(name) + ",true)";
  }
  waiting_.own_error.reset();
  forget_own_answer();
  leg_.send_own_query(Purpose::kReadBack, text);
  enter(Phase::kResting);
}

void Session::on_read_back() {
  for (size_t i = 0; i < waiting_.fields.size() && i < waiting_.untold_settings.size(); ++i) {
    if (waiting_.fields[i])
      view_.adopt(waiting_.untold_settings[i], *waiting_.fields[i], leg_.server().settings);
  }
  if (waiting_.own_error) leg_.remains.is_unclean = true;
  waiting_.untold_settings.clear();
  look();
}

void Session::forget_own_answer() {
  waiting_.answer.clear();
  waiting_.fields.clear();
}

void Session::look() {
  if (!std::exchange(leg_.remains.may_change_pins, false)) return release_server();
  ++environment_.looked_servers;
  waiting_.own_error.reset();
  forget_own_answer();
  leg_.send_own_query(Purpose::kLook, kLook);
  enter(Phase::kResting);
}

// The client's transaction is over and it has been told so.
void Session::release_server() {
  if (!leg_.remains.pins.is_empty()) {
    come_to_rest();
  } else if (leg_.remains.is_unclean) {
    bring_to_rest();
    enter(Phase::kResting);
  } else {
    end_lease(LeaseEnd::kReturn);
    come_to_rest();
  }
}

void Session::bring_to_rest() {
  ++environment_.rested_servers;
  waiting_.own_error.reset();
  forget_own_answer();
  leg_.send_own_query(Purpose::kRest, kRest);
}

// What the server session still holds for the client, by the server's own word.
void Session::on_looked() {
  if (!waiting_.own_error) {
    Pins left;
    for (const auto& [letter, pin] : {std::pair('L', Pin::kListen), std::pair('T', Pin::kTemporary),
                                      std::pair('C', Pin::kHoldCursor), std::pair('A', Pin::kSessionLock)}) {
      if (waiting_.answer.find(letter) != std::string::npos) left.add(pin);
    }
    // These it can not tell.
    if (leg_.remains.pins.has(Pin::kLibrary)) left.add(Pin::kLibrary);
    if (leg_.remains.pins.has(Pin::kSetting)) left.add(Pin::kSetting);
    leg_.remains.pins = left;
  }
  release_server();
}

void Session::on_rested() {
  const bool is_at_rest = !waiting_.own_error && waiting_.answer == "0";
  if (is_at_rest) {
    leg_.server().settings = environment_.name_values->empty();
    leg_.server().has_used_sequences = false;
    leg_.remains.is_unclean = false;
  }
  if (phase_ == Phase::kPreparing) {
    // On the way to a client's first statement (leases.cpp).
    waiting_.own_error.reset();
    if (is_at_rest && view_.at_begin()->is_empty()) {
      on_server_prepared();
    } else if (is_at_rest) {
      leg_.send_own_query(Purpose::kAssign,
                          ClientView::statement_to_reach(leg_.server().settings, view_.at_begin()));
    } else {
      end_lease(LeaseEnd::kDiscard);
      go_on_without_server(routing::Error{routing::sqlstate::kConnectionFailure,
                                          "the server session could not be given this client's settings",
                                          "It has been closed.", "Try again."});
    }
    return;
  }
  end_lease(is_at_rest ? LeaseEnd::kReturn : LeaseEnd::kDiscard);
  if (phase_ == Phase::kLeaving) {
    go_on_elsewhere();
  } else {
    come_to_rest();
  }
}

}  // namespace mosaic::proxy
