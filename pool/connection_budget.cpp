#include "pool/connection_budget.h"

#include <bit>

#include "pool/postgres/server_connection.h"

namespace mosaic::pool {

namespace {

// Counts one more, unless there are `limit`.
bool take_below(std::atomic<uint32_t>& counter, uint32_t limit) {
  uint32_t used = counter.load(std::memory_order_relaxed);
  while (used < limit) {
    if (counter.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

}  // namespace

bool ConnectionQuota::try_take() { return take_below(used_, limit() == 0 ? UINT32_MAX : limit()); }

ConnectionBudget::Taken ConnectionBudget::try_take(uint32_t more) {
  if (!take_below(used_, limit() + more)) return Taken::kOwnLimit;
  if (node_ && !node_->try_take()) {
    used_.fetch_sub(1, std::memory_order_acq_rel);
    return Taken::kNodeLimit;
  }
  if (user_ && !user_->try_take()) {
    if (node_) node_->put_back();
    used_.fetch_sub(1, std::memory_order_acq_rel);
    return Taken::kUserLimit;
  }
  return Taken::kYes;
}

void ConnectionBudget::put_back() {
  if (user_) user_->put_back();
  if (node_) node_->put_back();
  used_.fetch_sub(1, std::memory_order_acq_rel);
}

void ConnectionBudget::join(uint32_t worker, Member member) {
  const std::lock_guard lock(mutex_);
  members_[worker] = std::move(member);
}

void ConnectionBudget::leave(uint32_t worker) {
  clear_starving(worker);
  const std::lock_guard lock(mutex_);
  members_.erase(worker);
}

void ConnectionBudget::set_starving(uint32_t worker, uint64_t since_ms) {
  since_ms_[worker].store(since_ms, std::memory_order_relaxed);
  const uint64_t bit = uint64_t{1} << worker;
  if ((starving_.fetch_or(bit, std::memory_order_acq_rel) & bit) != 0) return;
  const std::lock_guard lock(mutex_);
  for (auto& [other, member] : members_) {
    if (other != worker) member.post(member.on_others_starve);
  }
}

void ConnectionBudget::clear_starving(uint32_t worker) {
  starving_.fetch_and(~(uint64_t{1} << worker), std::memory_order_acq_rel);
}

ConnectionBudget::Starving ConnectionBudget::most_starving(uint32_t self) const {
  uint64_t rest = starving_.load(std::memory_order_relaxed) & ~(uint64_t{1} << self);
  Starving most{self, UINT64_MAX};
  for (; rest != 0; rest &= rest - 1) {
    const auto worker = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t since = since_ms_[worker].load(std::memory_order_relaxed);
    if (since < most.since_ms) most = Starving{worker, since};
  }
  return most;
}

bool ConnectionBudget::offer(uint32_t worker, std::unique_ptr<ServerConnection>& server) {
  const std::lock_guard lock(mutex_);
  const auto member = members_.find(worker);
  if (member == members_.end()) return false;
  // Messages are copyable, connections are not: the box is.
  auto box = std::make_shared<std::unique_ptr<ServerConnection>>(std::move(server));
  if (member->second.post([adopt = member->second.adopt, box] { adopt(std::move(*box)); })) return true;
  server = std::move(*box);
  return false;
}

std::shared_ptr<ConnectionQuota> BudgetTable::quota_of_node(routing::NodeId node) {
  auto& quota = by_node_[node];
  if (!quota) {
    quota = std::make_shared<ConnectionQuota>();
    quota->set_limit(limits_.node_max);
  }
  return quota;
}

std::shared_ptr<ConnectionBudget> BudgetTable::find_or_add(routing::NodeId node, const std::string& user) {
  const std::lock_guard lock(mutex_);
  auto& budget = budgets_[{node, user}];
  if (budget) return budget;
  auto& of_user = by_user_[user];
  if (!of_user) {
    of_user = std::make_shared<ConnectionQuota>();
    of_user->set_limit(limits_.user_max);
  }
  budget = std::make_shared<ConnectionBudget>(limits_.pool_size, quota_of_node(node), of_user);
  budget->set_reserve(limits_.reserve);
  return budget;
}

void BudgetTable::set_limits(const Limits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  for (auto& [key, budget] : budgets_) {
    budget->set_limit(limits.pool_size);
    budget->set_reserve(limits.reserve);
  }
  for (auto& [node, quota] : by_node_) quota->set_limit(limits.node_max);
  for (auto& [user, quota] : by_user_) quota->set_limit(limits.user_max);
}

}  // namespace mosaic::pool
