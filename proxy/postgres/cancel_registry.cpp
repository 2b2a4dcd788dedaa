#include "proxy/postgres/cancel_registry.h"

#include <utility>

namespace mosaic::proxy {

namespace {

// No process of Linux has a larger id (PID_MAX_LIMIT, proc(5)).
constexpr uint32_t kSystemProcessIdMax = 1u << 22;

}  // namespace

CancelKey CancelRegistry::add(CancelTarget target) {
  const std::lock_guard lock(mutex_);
  // Ends soon: with a million clients one draw in two thousand is taken.
  while (true) {
    const uint64_t drawn = draw_random_();
    const CancelKey key{static_cast<uint32_t>(drawn >> 32) & 0x7fffffffu, static_cast<uint32_t>(drawn)};
    if (key.process_id <= kSystemProcessIdMax) continue;
    if (entries_.try_emplace(key.process_id, Entry{key.secret, target}).second) return key;
  }
}

void CancelRegistry::remove(CancelKey key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key.process_id);
  if (found != entries_.end() && found->second.secret == key.secret) entries_.erase(found);
}

std::optional<CancelTarget> CancelRegistry::find(CancelKey key) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key.process_id);
  if (found == entries_.end()) return std::nullopt;
  // Two words are compared at once, so no prefix of the secret shows in the time it takes.
  if ((found->second.secret ^ key.secret) != 0) return std::nullopt;
  return found->second.target;
}

size_t CancelRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace mosaic::proxy
