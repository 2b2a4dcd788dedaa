// How conversations end: the client goes or cancels, the server is lost, time is up, Mosaic shuts down.
// Whatever the phase, the server comes to rest or is closed, and nobody gets another one's replies.

#include <cassert>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
namespace sqlstate = routing::sqlstate;

void Session::on_client_lost(bool is_polite) {
  if (phase_ == Phase::kClosed || phase_ == Phase::kAbandoned) return;
  if (phase_ == Phase::kWaiting) outbox_.stop_waiting = true;
  outbox_.lease_request.reset();
  if (server_ == nullptr) {
    enter(Phase::kClosed);
    return;
  }
  if (is_pinned_ || phase_ == Phase::kPreparing) {
    end_lease(LeaseEnd::kDiscard);
    enter(Phase::kClosed);
    return;
  }
  // Bring the server to rest: what runs is cut short, a COPY is failed, a transaction rolled back.
  const bool is_running = phase_ == Phase::kInFlight;
  if (phase_ == Phase::kCopyIn) {
    const bool is_simple = !replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery;
    routing::append_copy_fail(*outbox_.to_server, "the client has disconnected");
    if (!is_simple) {
      routing::append_sync(*outbox_.to_server);
      replies_.push(Reply{Reply::Kind::kSync});
    }
  } else if (phase_ == Phase::kGroup) {
    routing::append_sync(*outbox_.to_server);
    replies_.push(Reply{Reply::Kind::kSync});
  } else if (phase_ == Phase::kReady || phase_ == Phase::kCopyUnrouted) {
    send_own_query("ROLLBACK");
    replies_.push(Reply{Reply::Kind::kQuery});
  }
  if (is_running && !is_polite) outbox_.cancel_server = true;
  // Whether a SET, or the end of a transaction that holds one, has come through is not looked at any more: a
  // server whose settings are not known must not reach another client.
  const bool changes_settings = settings_.has_marks() || !effects_.empty() ||
                                (!replies_.is_empty() && replies_.front().kind == Reply::Kind::kSettings);
  if (changes_settings && phase_ != Phase::kReady) abandoned_end_ = LeaseEnd::kDiscard;
  settings_.roll_back(&server_->settings);
  effects_.clear();
  enter(Phase::kAbandoned);
}

void Session::on_cancel_request() {
  const Error canceled{sqlstate::kQueryCanceled, "canceling statement due to user request", "", ""};
  if (phase_ == Phase::kWaiting && phase_after_lease_ != Phase::kWelcome) {
    outbox_.stop_waiting = true;
    outbox_.lease_request.reset();
    pending_route_.reset();
    go_on_without_server(canceled);
    return;
  }
  if (server_ != nullptr && (phase_ == Phase::kInFlight || phase_ == Phase::kCopyIn ||
                             (phase_ == Phase::kGroup && !replies_.is_empty()))) {
    outbox_.cancel_server = true;
  }
}

void Session::on_server_lost(const Error& error, bool is_mid_frame) {
  assert(server_ != nullptr);
  const Phase before = phase_;
  const bool was_in_transaction = transaction_status_ != 'I';
  const bool was_pinned = is_pinned_;
  const bool is_simple = !replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery;
  // need_server() was letting it go within a group: the Sync was ours, not the client's.
  const bool was_let_go = before == Phase::kInFlight && !replies_.is_empty() &&
                          replies_.back().kind == Reply::Kind::kSync && replies_.back().is_ours;
  const bool skipped_until_sync = skip_until_sync_;
  while (!replies_.is_empty()) pop_reply();
  local_bytes_.clear();
  portals_.clear();
  portal_effects_.clear();
  pending_route_.reset();
  settings_.roll_back(nullptr);
  reset_group();
  end_lease(LeaseEnd::kDiscard);
  if (before == Phase::kAbandoned) {
    enter(Phase::kClosed);
    return;
  }
  if (is_mid_frame || was_pinned) {
    // The client's stream can not be continued, or its session state is lost.
    if (!is_mid_frame) routing::append_error(*outbox_.to_client, error, "FATAL");
    enter(Phase::kClosed);
    outbox_.close_client = true;
    return;
  }
  if (before == Phase::kPreparing) {
    go_on_without_server(error);
    return;
  }
  if (was_in_transaction || (!held_.empty() && before != Phase::kReady)) {
    // The client believes to be in a transaction: it stays in a failed one until it says ROLLBACK, so that
    // nothing that it sends meanwhile is run outside one.
    held_.assign(1, "BEGIN");
    is_held_failed_ = true;
  }
  if (before == Phase::kReady) {
    held_error_ = std::make_unique<Error>(error);  // told with the next statement
    return;
  }
  if (before == Phase::kGroup || was_let_go || (before == Phase::kCopyIn && !is_simple)) {
    // The client's own Sync is still to come. Until then it is told one error, not two.
    if (!skipped_until_sync) routing::append_error(*outbox_.to_client, error);
    skip_until_sync_ = true;
    enter(Phase::kGroup);
    return;
  }
  routing::append_error(*outbox_.to_client, error);
  routing::append_ready(*outbox_.to_client, visible_status('I'));
  skip_until_sync_ = false;
  come_to_rest();
}

void Session::on_idle() {
  if (phase_ != Phase::kReady || server_ != nullptr) return;
  replies_.release_memory();
  local_bytes_.release_if_empty();
  text_changes_ = {};
  effects_ = {};
  copy_.reset();
}

void Session::on_timeout(const Error& error) { close_with(error); }

void Session::on_shutdown() {
  is_shutting_down_ = true;
  // A BEGIN that no server has seen, or a pipeline that asked for nothing yet, is nothing to wait for.
  const bool is_at_rest = (phase_ == Phase::kReady || phase_ == Phase::kGroup) && replies_.is_empty();
  if (!is_at_rest || transaction_status_ != 'I') return;
  close_with(Error{sqlstate::kAdminShutdown, "terminating connection because Mosaic is shutting down", "",
                   "connect again"});
}

}  // namespace mosaic::proxy
