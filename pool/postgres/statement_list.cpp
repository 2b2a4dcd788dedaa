#include "pool/postgres/statement_list.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace mosaic::pool {

ServerStatementName::ServerStatementName(const StatementKey& key) {
  constexpr std::string_view kPrefix = "mosaic_";
  char* at = std::copy(kPrefix.begin(), kPrefix.end(), text_);
  at = std::to_chars(at, std::end(text_), key.statement).ptr;
  *at++ = '_';
  at = std::to_chars(at, std::end(text_), key.shard_plus_one).ptr;
  if (key.context != 0) {
    *at++ = '_';
    at = std::to_chars(at, std::end(text_), key.context).ptr;
  }
  size_ = static_cast<size_t>(at - text_);
}

std::optional<size_t> StatementList::find_slot(const StatementKey& key) const {
  if (slots_.empty()) return std::nullopt;
  for (size_t slot = home_of(key); slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    if (entries_[slots_[slot] - 1].key == key) return slot;
  }
  return std::nullopt;
}

bool StatementList::touch(const StatementKey& key) {
  const auto slot = find_slot(key);
  if (!slot) return false;
  entries_[slots_[*slot] - 1].was_used = true;
  return true;
}

void StatementList::insert(const StatementKey& key) {
  if (touch(key)) return;
  if (slots_.size() < 2 * (entries_.size() + 1)) grow();
  size_t slot = home_of(key);
  while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
  entries_.push_back({key, false});
  slots_[slot] = static_cast<uint32_t>(entries_.size());
}

void StatementList::grow() {
  constexpr size_t kSlotsMin = 16;
  slots_.assign(slots_.empty() ? kSlotsMin : slots_.size() * 2, 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = home_of(entries_[i].key);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

// What stands behind a freed slot moves up, unless it stands at or before its home already.
void StatementList::free_slot(size_t slot) {
  const size_t mask = slots_.size() - 1;
  size_t hole = slot;
  for (size_t next = (hole + 1) & mask; slots_[next] != 0; next = (next + 1) & mask) {
    const size_t home = home_of(entries_[slots_[next] - 1].key);
    if (((next - home) & mask) < ((next - hole) & mask)) continue;
    slots_[hole] = slots_[next];
    hole = next;
  }
  slots_[hole] = 0;
}

void StatementList::erase(const StatementKey& key) {
  const auto slot = find_slot(key);
  if (!slot) return;
  const size_t position = slots_[*slot] - 1;
  free_slot(*slot);
  if (position + 1 < entries_.size()) {
    slots_[*find_slot(entries_.back().key)] = static_cast<uint32_t>(position + 1);
    entries_[position] = entries_.back();
  }
  entries_.pop_back();
}

std::optional<StatementKey> StatementList::evict(size_t limit) {
  if (entries_.empty() || entries_.size() < limit) return std::nullopt;
  for (;; ++hand_) {
    if (hand_ >= entries_.size()) hand_ = 0;
    Entry& entry = entries_[hand_];
    if (!std::exchange(entry.was_used, false)) break;
  }
  const StatementKey oldest = entries_[hand_].key;
  erase(oldest);
  ++hand_;  // the entry that took the place is the newest one
  return oldest;
}

std::vector<StatementKey> StatementList::of_shard(routing::ShardId shard) const {
  std::vector<StatementKey> keys;
  for (const Entry& entry : entries_) {
    if (entry.key.shard_plus_one == shard.value + 1) keys.push_back(entry.key);
  }
  return keys;
}

void StatementList::clear() {
  entries_.clear();
  slots_.clear();
  hand_ = 0;
}

}  // namespace mosaic::pool
