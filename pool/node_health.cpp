#include "pool/node_health.h"

#include <algorithm>
#include <utility>

namespace mosaic::pool {

using routing::Error;

const char* to_text(NodeHealth::State state) {
  switch (state) {
    case NodeHealth::State::kUp:
      return "up";
    case NodeHealth::State::kSlow:
      return "slow";
    case NodeHealth::State::kDown:
      return "down";
  }
  return "";
}

Error NodeHealth::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

NodeHealth::Status NodeHealth::status() const {
  const std::lock_guard lock(mutex_);
  Status status = status_;
  status.state = state();
  status.cancels = cancels_.load(std::memory_order_relaxed);
  status.cancel_failures = cancel_failures_.load(std::memory_order_relaxed);
  return status;
}

void NodeHealth::note_error(const Error& error) {
  status_.last_error = error.detail.empty() ? error.message : error.detail;
  status_.last_error_us = unix_us_();
}

std::optional<NodeHealth::Change> NodeHealth::move_to(State state, const std::string& error) {
  const State before = state_.exchange(state, std::memory_order_relaxed);
  if (before == state) return std::nullopt;
  const uint64_t now_us = unix_us_();
  const uint64_t since_us = std::exchange(status_.since_us, now_us);
  ++status_.changes;
  return Change{before, state, since_us == 0 ? 0 : now_us - since_us, error, "", ""};
}

void NodeHealth::on_login(const std::string& user) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    change = move_to(State::kUp, "");
    for (Refusal& refusal : status_.refusals) {
      if (refusal.user == user) refusal.taken_us = unix_us_();
    }
  }
  tell(change);
}

void NodeHealth::on_tick() {
  std::vector<Change> changes;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t now_us = status_.refusals.empty() ? 0 : unix_us_();
    std::erase_if(status_.refusals, [&](const Refusal& refusal) {
      const bool is_taken =
          refusal.taken_us != 0 && (!refusal.is_for_want_of_room || now_us >= refusal.latest_us + kCalmUs);
      if (is_taken)
        changes.push_back({state(), state(), refusal.taken_us - refusal.since_us, "", "", refusal.user});
      return is_taken || now_us > refusal.latest_us + kRefusalKeptUs;
    });
  }
  for (const Change& change : changes) tell(change);
}

void NodeHealth::on_connect_failed(const std::string& user, const ConnectFailure& failure, uint64_t now_ms) {
  using Kind = ConnectFailure::Kind;
  if (failure.kind == Kind::kUnreachable || failure.kind == Kind::kStarting) {
    {
      const std::lock_guard lock(mutex_);
      ++status_.connect_failures;
    }
    return on_probe_failed(failure, now_ms);
  }
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    note_error(failure.error);
    if (failure.kind == Kind::kNoAnswer) {
      ++status_.connect_failures;  // whether it answers others is for the probe to say
    } else {
      ++status_.refused_logins;
      const uint64_t now_us = unix_us_();
      auto at = std::find_if(status_.refusals.begin(), status_.refusals.end(),
                             [&](const Refusal& refusal) { return refusal.user == user; });
      if (at == status_.refusals.end() && status_.refusals.size() < kRefusalsMax) {
        at = status_.refusals.insert(at, {.user = user, .since_us = now_us});
        change = Change{state(), state(), 0, status_.last_error, user, ""};
      }
      if (at != status_.refusals.end()) {
        at->error = status_.last_error;
        at->latest_us = now_us;
        at->taken_us = 0;
        at->is_for_want_of_room = failure.kind == Kind::kFull;
        ++at->count;
      }
    }
  }
  tell(change);
}

void NodeHealth::on_heard(uint64_t now_ms) {
  heard_ms_.store(now_ms, std::memory_order_relaxed);
  if (state() != State::kSlow) return;
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    if (state() == State::kSlow) change = move_to(State::kUp, "");
  }
  tell(change);
}

void NodeHealth::on_probe_answer(uint64_t took_us) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    status_.probe_us = took_us;
    change = move_to(State::kUp, "");
  }
  tell(change);
}

void NodeHealth::on_probe_failed(const ConnectFailure& failure, uint64_t now_ms) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    note_error(failure.error);
    error_ = failure.error;
    failed_ms_.store(now_ms, std::memory_order_relaxed);
    change = move_to(State::kDown, status_.last_error);
  }
  tell(change);
}

void NodeHealth::on_probe_silent(const Error& error, uint64_t sent_ms, uint64_t now_ms) {
  if (heard_ms_.load(std::memory_order_relaxed) >= sent_ms) return;  // it is at work
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    note_error(error);
    failed_ms_.store(now_ms, std::memory_order_relaxed);
    if (state() == State::kUp) {
      error_ = error;
      change = move_to(State::kSlow, status_.last_error);
    }
  }
  tell(change);
}

void NodeHealth::forget_refusal(const std::string& user) {
  const std::lock_guard lock(mutex_);
  std::erase_if(status_.refusals, [&](const Refusal& refusal) { return refusal.user == user; });
}

}  // namespace mosaic::pool
