// How conversations end: the client goes or cancels, the server is lost, time is up, Mosaic shuts down.
// Whatever the phase, the server comes to rest or is closed, and nobody gets another one's replies.

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::Pin;
namespace sqlstate = routing::sqlstate;

namespace {

bool ends_group(Expectation::Kind kind) {
  return kind == Expectation::Kind::kSync || kind == Expectation::Kind::kQuery ||
         kind == Expectation::Kind::kOwnQuery;
}

// What the client had there is to be begun again elsewhere anyway.
bool only_cleans_up(const ExpectationQueue& owed) {
  for (size_t i = 0; i < owed.size(); ++i) {
    if (owed.at(i).kind != Expectation::Kind::kOwnQuery) return false;
  }
  return !owed.is_empty();
}

}  // namespace

void Session::on_client_lost(bool is_polite) {
  if (phase_ == Phase::kClosed || phase_ == Phase::kAbandoned) return;
  if (phase_ == Phase::kWaiting) outbox_.stop_waiting = true;
  outbox_.lease_request.reset();
  attempt_.stop();
  if (!leg_.is_held()) {
    enter(Phase::kClosed);
    return;
  }
  // What a library brought in can not be taken out again.
  if (leg_.remains.pins.has(Pin::kLibrary)) {
    end_lease(LeaseEnd::kDiscard);
    enter(Phase::kClosed);
    return;
  }
  // Whether what is under way changes settings or the session is not looked at any more: a server whose state
  // is not known is brought to rest by all means.
  const bool is_quiet = phase_ == Phase::kReady && !leg_.is_busy();
  leg_.remains.is_unclean |=
      !leg_.remains.pins.is_empty() || !transaction_.pins.is_empty() ||
      transaction_.traces.has(routing::Trace::kUnknown) || phase_ == Phase::kPreparing ||
      phase_ == Phase::kResting || !transaction_.untold_settings.empty() ||
      (!is_quiet && (view_.has_marks() || group_.changes_settings || !portals_.effects.empty() ||
                     leg_.server().settings != view_.wanted()));
  waiting_.has_been_rested = false;
  // What runs is cut short, a COPY is failed, a transaction rolled back.
  if (phase_ == Phase::kInFlight && !is_polite) outbox_.cancel_server = true;
  const ExpectationQueue& owed = leg_.owed();
  if (phase_ == Phase::kCopyIn) routing::append_copy_fail(leg_.out(), "the client has disconnected");
  const bool ends_by_itself = !owed.is_empty() && ends_group(owed.back().kind);
  if (!ends_by_itself && leg_.is_busy()) {
    // A Sync alone would commit what the client has not: messages without one are a transaction as well.
    leg_.send_statement("ROLLBACK", true);
    leg_.send_own_sync(Purpose::kAbandoned);
  }
  view_.roll_back(&leg_.server().settings);
  enter(Phase::kAbandoned);
  if (leg_.owed().is_empty()) on_abandoned_ready(leg_.status());
}

// The client is gone: wait until the server has answered all it was sent, roll back what is open, then give
// it back. Replies leave the queue as they do for a client: who gets the server next must not get one of
// them.
Session::Verdict Session::on_abandoned_body(char type, std::string_view body) {
  ExpectationQueue& owed = leg_.owed();
  const auto drop_local = [this, &owed] {
    while (!owed.is_empty() && owed.front().kind == Kind::kLocal) {
      leg_.local_bytes().consume(owed.front().local_bytes);
      pop_expectation();
    }
  };
  drop_local();
  const Kind kind = owed.is_empty() ? Kind::kSync : owed.front().kind;
  const bool is_simple = kind == Kind::kQuery || kind == Kind::kOwnQuery;
  switch (type) {
    case 'Z':
      leg_.on_ready(body.empty() ? 'I' : body[0]);
      // What came behind an error has been skipped.
      while (!owed.is_empty() && !ends_group(owed.front().kind)) pop_expectation();
      if (!owed.is_empty()) pop_expectation();
      drop_local();
      if (owed.is_empty()) on_abandoned_ready(leg_.status());
      break;
    case 'S':
      if (const auto parameter = routing::parse_parameter_status(body)) {
        pool::NameValuesRef& known = leg_.server().parameters;
        known = environment_.name_values->with(known, parameter->first, parameter->second);
      }
      break;
    case 'G':
      routing::append_copy_fail(leg_.out(), "the client has disconnected");
      if (is_simple) break;
      // A Sync that came behind the Execute is ignored by a server that takes COPY data.
      while (!owed.is_empty()) pop_expectation();
      leg_.send_own_sync(Purpose::kAbandoned);
      break;
    case 'D':
      if (kind == Kind::kOwnQuery) return on_own_body(type, body);
      break;
    case 'E':
      if (kind == Kind::kOwnQuery)
        waiting_.own_error = std::make_unique<Error>(routing::parse_error_fields(body));
      if (is_simple || owed.is_empty()) break;
      skip_to_sync();
      if (owed.is_empty()) leg_.send_own_sync(Purpose::kAbandoned);
      break;
    case 'T':
    case 'n':
      if (kind == Kind::kDescribeStatement || kind == Kind::kDescribePortal) pop_expectation();
      break;
    case '1':
    case '2':
    case '3':
    case 'C':
    case 'I':
    case 's':
      if (!is_simple && kind != Kind::kSync) pop_expectation();
      break;
    default:
      break;
  }
  return Verdict::kDrop;
}

// All has been answered.
void Session::on_abandoned_ready(char status) {
  if (status != 'I') {
    leg_.send_own_query(Purpose::kAbandoned, "ROLLBACK");
    return;
  }
  if (!leg_.remains.is_unclean) {
    end_lease(LeaseEnd::kReturn);
    enter(Phase::kClosed);
    return;
  }
  if (!waiting_.has_been_rested) {
    waiting_.has_been_rested = true;
    bring_to_rest();
    return;
  }
  const bool is_at_rest = !waiting_.own_error && waiting_.answer == "0";
  leg_.server().settings = environment_.name_values->empty();
  end_lease(is_at_rest ? LeaseEnd::kReturn : LeaseEnd::kDiscard);
  enter(Phase::kClosed);
}

void Session::on_cancel_request() {
  const Error canceled{sqlstate::kQueryCanceled, "canceling statement due to user request", "", ""};
  if (phase_ == Phase::kWaiting && waiting_.phase_after != Phase::kWelcome) {
    outbox_.stop_waiting = true;
    outbox_.lease_request.reset();
    waiting_.route.reset();
    go_on_without_server(canceled);
    return;
  }
  const bool is_running = phase_ == Phase::kInFlight || phase_ == Phase::kCopyIn ||
                          phase_ == Phase::kDraining || phase_ == Phase::kLeaving ||
                          (phase_ == Phase::kGroup && !leg_.owed().is_empty());
  if (leg_.is_held() && is_running) outbox_.cancel_server = true;
}

void Session::on_server_lost(const Error& error, bool is_mid_frame) {
  assert(leg_.is_held());
  Error loss = leg_.last_words ? *leg_.last_words : error;
  if (leg_.last_words && loss.detail.empty())
    loss.detail = fmt::format("These were the last words of node \"{}\".", catalog().node_name(leg_.node()));
  const Phase before = phase_;
  if (before == Phase::kLeaving && (group_.is_retrying || only_cleans_up(leg_.owed()))) {
    go_on_without_what_is_left();
    return;
  }
  fence_ = {};
  const bool was_in_transaction = leg_.status() != 'I' || transaction_.is_open();
  const bool was_pinned = is_pinned();
  ExpectationQueue& owed = leg_.owed();
  const bool is_simple =
      !owed.is_empty() && (owed.front().kind == Kind::kQuery || owed.back().kind == Kind::kQuery);
  const bool skipped_until_sync = group_.skips_until_sync;
  const bool was_told = group_.has_error;
  end_timing_of_failed();
  for (size_t i = owed.size(); i-- > 0;) undo(owed.at(i));
  while (!owed.is_empty()) pop_expectation();
  leg_.local_bytes().clear();
  statements_.drop_portals();
  portals_.effects.clear();
  if (before != Phase::kPreparing) waiting_.route.reset();
  view_.roll_back(nullptr);
  begin_group();
  if (before != Phase::kPreparing) copy_.reset();
  end_lease(LeaseEnd::kDiscard);
  if (before == Phase::kAbandoned) {
    enter(Phase::kClosed);
    return;
  }
  if (is_mid_frame || was_pinned) {
    // The client's stream can not be continued, or its session state is lost.
    if (!is_mid_frame) routing::append_error(*outbox_.to_client, loss, "FATAL");
    enter(Phase::kClosed);
    outbox_.close_client = true;
    outbox_.closing_error = std::make_unique<Error>(loss);
    return;
  }
  if (before == Phase::kResting) {
    transaction_.reset();
    come_to_rest();  // the client has its answer
    return;
  }
  if (before == Phase::kPreparing && ask_next_node(loss)) {
    enter(Phase::kWaiting);
    return;
  }
  if (before == Phase::kPreparing || before == Phase::kSearching) {
    waiting_.route.reset();
    go_on_without_server(loss);
    return;
  }
  const bool is_told_later = before == Phase::kReady;
  if (was_in_transaction) {
    // The client believes to be in a transaction: it stays in a failed one until it says ROLLBACK, so that
    // nothing that it sends meanwhile is run outside one.
    transaction_.lose(loss, !is_told_later);
  } else {
    transaction_.reset();
  }
  if (is_told_later) return;
  const bool is_of_group = before == Phase::kGroup || before == Phase::kDraining ||
                           (before == Phase::kLeaving && waiting_.phase_after != Phase::kReady) ||
                           (before == Phase::kCopyIn && !is_simple);
  if (is_of_group) {
    // The client's own Sync is still to come. Until then it is told one error, not two.
    if (!skipped_until_sync) routing::append_error(*outbox_.to_client, loss);
    group_.skips_until_sync = true;
    enter(Phase::kGroup);
    return;
  }
  if (before == Phase::kLeaving) {  // nothing of the client's own was under way
    go_on_without_server(loss);
    return;
  }
  if (!was_told || is_simple) routing::append_error(*outbox_.to_client, loss);
  append_ready();
  come_to_rest();
}

// What the lost server was still to answer matters to nobody: the client goes on elsewhere, and is told
// nothing.
void Session::go_on_without_what_is_left() {
  const bool is_taken_back = leg_.owed().front().purpose == Expectation::Purpose::kTakeBack;
  while (!leg_.owed().is_empty()) pop_expectation();
  leg_.local_bytes().clear();
  const bool is_begun = is_taken_back || (group_.is_retrying && attempt_.is_in_transaction());
  const bool is_attempt_alone = group_.is_retrying && !is_begun;
  if (group_.is_retrying) take_attempt_back();
  if (is_begun) note_left();
  if (is_attempt_alone) view_.roll_back(nullptr);
  end_lease(LeaseEnd::kDiscard);
  go_on_elsewhere();
}

void Session::on_idle() {
  if (phase_ != Phase::kReady || leg_.is_held()) return;
  leg_.owed().release_memory();
  leg_.local_bytes().release_if_empty();
  analysis_.text_changes = {};
}

void Session::on_timeout(const Error& error) { close_with(error); }

void Session::on_shutdown() {
  is_shutting_down_ = true;
  // A BEGIN that no server has seen, or a pipeline that asked for nothing yet, is nothing to wait for.
  const bool is_at_rest = (phase_ == Phase::kReady || phase_ == Phase::kGroup) && leg_.owed().is_empty();
  if (!is_at_rest || leg_.status() != 'I') return;
  close_with(Error{sqlstate::kAdminShutdown, "terminating connection because Mosaic is shutting down", "",
                   "connect again"});
}

}  // namespace mosaic::proxy
