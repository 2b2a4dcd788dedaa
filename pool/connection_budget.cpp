#include "pool/connection_budget.h"

#include <bit>

#include "pool/postgres/server_connection.h"

namespace mosaic::pool {

bool ConnectionBudget::try_take() {
  uint32_t used = used_.load(std::memory_order_relaxed);
  while (used < limit()) {
    if (used_.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
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

std::shared_ptr<ConnectionBudget> BudgetTable::find_or_add(routing::NodeId node, const std::string& user,
                                                           uint32_t limit) {
  const std::lock_guard lock(mutex_);
  auto& budget = budgets_[{node, user}];
  if (!budget) budget = std::make_shared<ConnectionBudget>(limit);
  return budget;
}

void BudgetTable::set_limit(uint32_t limit) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, budget] : budgets_) budget->set_limit(limit);
}

}  // namespace mosaic::pool
