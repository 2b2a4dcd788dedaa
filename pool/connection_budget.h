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

// How many server connections several budgets may have together. Thread-safe.
class ConnectionQuota {
 public:
  bool try_take();
  void put_back() { used_.fetch_sub(1, std::memory_order_acq_rel); }
  uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }  // 0: none
  void set_limit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> limit_{0};
  std::atomic<uint32_t> used_{0};
};

class ConnectionBudget {
 public:
  // `node`, `user`: of all budgets of the node, and of the user; null: there is no such limit.
  explicit ConnectionBudget(uint32_t limit, std::shared_ptr<ConnectionQuota> node = nullptr,
                            std::shared_ptr<ConnectionQuota> user = nullptr)
      : limit_(limit), node_(std::move(node)), user_(std::move(user)) {}

  enum class Taken : uint8_t {
    kYes,
    kOwnLimit,   // default_pool_size
    kNodeLimit,  // max_db_connections: another user's connection would have to go
    kUserLimit,  // max_user_connections: one to another node would have to go
  };
  // `more`: beyond limit(), for those who have waited long (reserve_pool_size).
  Taken try_take(uint32_t more = 0);
  void put_back();
  uint32_t used() const { return used_.load(std::memory_order_acquire); }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  void set_reserve(uint32_t reserve) { reserve_.store(reserve, std::memory_order_relaxed); }
  bool is_over_limit() const { return used() > limit() + reserve(); }
  bool is_using_reserve() const { return used() > limit(); }
  uint32_t reserve() const { return reserve_.load(std::memory_order_relaxed); }

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
  std::atomic<uint32_t> reserve_{0};
  std::atomic<uint32_t> used_{0};
  std::shared_ptr<ConnectionQuota> node_, user_;
  std::atomic<uint64_t> starving_{0};
  std::array<std::atomic<uint64_t>, kWorkersMax> since_ms_{};
  std::mutex mutex_;  // of members_
  std::map<uint32_t, Member> members_;
};

// All budgets of the process, by (node, user).
class BudgetTable {
 public:
  struct Limits {
    uint32_t pool_size = 0;               // of each budget
    uint32_t reserve = 0;                 // of each, beyond that
    uint32_t node_max = 0, user_max = 0;  // 0: none
  };
  std::shared_ptr<ConnectionBudget> find_or_add(routing::NodeId node, const std::string& user);
  void set_limits(const Limits& limits);

 private:
  std::shared_ptr<ConnectionQuota> quota_of_node(routing::NodeId node);

  std::mutex mutex_;
  Limits limits_;
  std::map<std::pair<routing::NodeId, std::string>, std::shared_ptr<ConnectionBudget>> budgets_;
  std::map<routing::NodeId, std::shared_ptr<ConnectionQuota>> by_node_;
  std::map<std::string, std::shared_ptr<ConnectionQuota>> by_user_;
};

}  // namespace mosaic::pool
