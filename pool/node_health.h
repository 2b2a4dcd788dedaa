#pragma once
// What is known of one node, the same for the whole process: learnt from connections, from what servers send,
// and from a probe (node_probe.h). A user whose login the node refuses says nothing of the node itself.
// Thread-safe; what the way of a statement asks is one atomic load.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::pool {

// Why a connection was not made.
struct ConnectFailure {
  enum class Kind : uint8_t {
    kUnreachable,  // nobody listens there, no such host, closed in the middle of the login
    kNoAnswer,     // not within the time there was
    kStarting,     // the node starts, recovers or shuts down (SQLSTATE 57P03)
    kRefused,      // it does not want this user: password, role, database, pg_hba.conf
    kFull,         // it has no room for one more connection (SQLSTATE 53300)
  };
  Kind kind = Kind::kUnreachable;
  routing::Error error;  // for the client
};

class NodeHealth {
 public:
  enum class State : uint8_t {
    kUp,
    kSlow,  // neither the probe nor a connection has had an answer for node_stall_timeout
    kDown,  // takes no connections
  };
  // Of a user whose latest login failed.
  struct Refusal {
    std::string user;
    std::string error;
    uint64_t since_us = 0, latest_us = 0;  // Unix time
    uint64_t taken_us = 0;                 // when it was let in again; 0: not yet
    uint64_t count = 0;
    bool is_for_want_of_room = false;
  };
  struct Status {
    State state = State::kUp;
    uint64_t since_us = 0;                                           // Unix time; 0: since the start
    std::string last_error;                                          // the latest of any kind; empty: none
    uint64_t last_error_us = 0;                                      // Unix time
    uint64_t connect_failures = 0, refused_logins = 0, changes = 0;  // since the start
    uint64_t cancels = 0, cancel_failures = 0;  // requests; of them: not known to have reached the node
    uint64_t probe_us = 0;                      // how long the latest answer to a probe took; 0: none yet
    std::vector<Refusal> refusals;              // the longest first
  };
  // A change of state, or of the users that are refused. Called on the thread that noticed, without a lock.
  struct Change {
    State before = State::kUp, now = State::kUp;
    uint64_t lasted_us = 0;    // how long `before` was true
    std::string error;         // why it is not up
    std::string refused_user;  // else empty: this user is refused now
    std::string taken_user;    // else empty: this one is taken again
  };
  using OnChange = std::function<void(const Change&)>;
  using Clock = std::function<uint64_t()>;  // Unix time in microseconds

  NodeHealth(OnChange on_change, Clock unix_us)
      : on_change_(std::move(on_change)), unix_us_(std::move(unix_us)) {}
  NodeHealth(const NodeHealth&) = delete;
  NodeHealth& operator=(const NodeHealth&) = delete;

  State state() const { return state_.load(std::memory_order_relaxed); }
  bool is_up() const { return state() == State::kUp; }
  // What a client is told while it is not up, and when that was noticed last, by the monotonic clock.
  routing::Error error() const;
  uint64_t failed_ms() const { return failed_ms_.load(std::memory_order_relaxed); }

  // New statements are refused while it is slow, rather than sent to it.
  bool refuses_when_slow() const { return refuses_when_slow_.load(std::memory_order_relaxed); }
  void set_refuses_when_slow(bool refuses) { refuses_when_slow_.store(refuses, std::memory_order_relaxed); }

  // --- what happens; `now_ms` by the monotonic clock ---
  void on_login(const std::string& user);
  // Now and then: who has been let in again for good is told of, and who has stayed away is forgotten.
  void on_tick();
  void on_connect_failed(const std::string& user, const ConnectFailure& failure, uint64_t now_ms);
  void on_heard(uint64_t now_ms);  // a server sent something
  void on_probe_answer(uint64_t took_us);
  void on_probe_failed(const ConnectFailure& failure, uint64_t now_ms);
  // A probe that was sent `sent_ms` has had no answer yet, which is too long.
  void on_probe_silent(const routing::Error& error, uint64_t sent_ms, uint64_t now_ms);
  void on_cancel() { cancels_.fetch_add(1, std::memory_order_relaxed); }
  void on_cancel_failed() { cancel_failures_.fetch_add(1, std::memory_order_relaxed); }
  // Its password or address has changed, or nobody uses it any more: what was refused says nothing.
  void forget_refusal(const std::string& user);

  Status status() const;

 private:
  // Users are the auth file's, or whoever is let in without one: no more are kept.
  static constexpr size_t kRefusalsMax = 100;
  // One who has not tried since is no news.
  static constexpr uint64_t kRefusalKeptUs = 600'000'000;
  // A full node lets in one and refuses the next; there is room when nobody has been refused for so long.
  static constexpr uint64_t kCalmUs = 5'000'000;

  std::optional<Change> move_to(State state, const std::string& error);
  void tell(const std::optional<Change>& change) const {
    if (change && on_change_) on_change_(*change);
  }
  void note_error(const routing::Error& error);

  const OnChange on_change_;
  const Clock unix_us_;
  std::atomic<State> state_{State::kUp};
  std::atomic<bool> refuses_when_slow_{false};
  std::atomic<uint64_t> heard_ms_{0}, failed_ms_{0};
  std::atomic<uint64_t> cancels_{0}, cancel_failures_{0};
  mutable std::mutex mutex_;  // of what follows
  Status status_;
  routing::Error error_;  // why it is not up
};

// All nodes of the process, by NodeId.
using NodeHealths = std::vector<std::shared_ptr<NodeHealth>>;

const char* to_text(NodeHealth::State state);

}  // namespace mosaic::pool
