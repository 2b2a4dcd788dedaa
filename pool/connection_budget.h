#pragma once
// How many server connections one (node, user) may have over all workers, and the workers' way to share them:
// a worker that has waiting clients and may not open more asks the others, and gets an idle connection handed
// over rather than closed and opened again. Thread-safe; everything on the hot path is one relaxed atomic
// load.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "routing/ids.h"

namespace mosaic::pool {

class ServerConnection;

inline constexpr uint32_t kWorkersMax = 64;

class ConnectionBudget {
 public:
  explicit ConnectionBudget(uint32_t limit) : limit_(limit) {}

  bool try_take();
  void put_back() { used_.fetch_sub(1, std::memory_order_acq_rel); }
  uint32_t used() const { return used_.load(std::memory_order_acquire); }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  bool is_over_limit() const { return used() > limit(); }

  // A worker's pool joins and leaves; `post` delivers a message to that worker's loop (false: it is gone).
  // `on_others_starve` and `adopt` run there, and only while the pool lives.
  struct Member {
    std::function<bool(std::function<void()>)> post;
    std::function<void()> on_others_starve;
    std::function<void(std::unique_ptr<ServerConnection>)> adopt;
  };
  void join(uint32_t worker, Member member);
  void leave(uint32_t worker);

  // `worker` has clients waiting since `since_ms` (monotonic, comparable between workers) and no way to serve
  // them. The first call asks the others to give up what they have idle.
  void set_starving(uint32_t worker, uint64_t since_ms);
  void clear_starving(uint32_t worker);
  bool is_starving(uint32_t worker) const {
    return (starving_.load(std::memory_order_relaxed) >> worker & 1) != 0;
  }
  // Another worker whose clients have waited longest, when somebody but `self` starves.
  struct Starving {
    uint32_t worker;
    uint64_t since_ms;
  };
  bool others_starve(uint32_t self) const {
    return (starving_.load(std::memory_order_relaxed) & ~(uint64_t{1} << self)) != 0;
  }
  Starving most_starving(uint32_t self) const;  // only when others_starve(self)
  // Hands a connection (that has left its loop) to another worker's pool. False, and `server` untouched: it
  // is gone.
  bool offer(uint32_t worker, std::unique_ptr<ServerConnection>& server);

 private:
  std::atomic<uint32_t> limit_;
  std::atomic<uint32_t> used_{0};
  std::atomic<uint64_t> starving_{0};
  std::array<std::atomic<uint64_t>, kWorkersMax> since_ms_{};
  std::mutex mutex_;  // of members_
  std::map<uint32_t, Member> members_;
};

// All budgets of the process, by (node, user).
class BudgetTable {
 public:
  std::shared_ptr<ConnectionBudget> find_or_add(routing::NodeId node, const std::string& user,
                                                uint32_t limit);
  void set_limit(uint32_t limit);

 private:
  std::mutex mutex_;
  std::map<std::pair<routing::NodeId, std::string>, std::shared_ptr<ConnectionBudget>> budgets_;
};

}  // namespace mosaic::pool
