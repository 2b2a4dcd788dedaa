#include "bench/workload/oracle.h"

#include <xxhash.h>

#include <cassert>
#include <string>

namespace mosaic::workload {

std::string_view to_text(Table table) {
  switch (table) {
    case Table::kUsers:
      return "users";
    case Table::kMedia:
      return "media";
    case Table::kLikes:
      return "likes";
    case Table::kComments:
      return "comments";
    case Table::kFollows:
      return "follows";
  }
  return "";
}

size_t RowKeyHash::operator()(const RowKey& key) const { return XXH3_64bits(&key, sizeof key); }

uint64_t digest_of(int64_t user_id, std::initializer_list<std::string_view> values) {
  // Lengths go in too: ("ab", "c") must differ from ("a", "bc").
  std::string flat = std::to_string(user_id);
  for (const std::string_view value : values) {
    flat += '\x1f' + std::to_string(value.size()) + ':';
    flat += value;
  }
  return XXH3_64bits(flat.data(), flat.size());
}

void Oracle::insert(Table table, RowKey key, uint64_t digest) {
  rows_[static_cast<size_t>(table)][key] = ExpectedRow{digest, digest, false};
}

void Oracle::update(Table table, RowKey key, uint64_t digest) {
  ExpectedRow& row = rows_[static_cast<size_t>(table)][key];
  row.digest = row.other_digest = digest;
}

void Oracle::remove(Table table, RowKey key) { rows_[static_cast<size_t>(table)].erase(key); }

void Oracle::maybe_insert(Table table, RowKey key, uint64_t digest) {
  // An earlier success stands: the writer's ON CONFLICT DO NOTHING changed nothing then.
  rows_[static_cast<size_t>(table)].try_emplace(key, ExpectedRow{digest, digest, true});
}

void Oracle::maybe_insert_unidentified(Table table, uint64_t digest) {
  ++unidentified_[static_cast<size_t>(table)][digest];
}

void Oracle::maybe_update(Table table, RowKey key, uint64_t digest) {
  rows_[static_cast<size_t>(table)][key].other_digest = digest;
}

void Oracle::maybe_remove(Table table, RowKey key) {
  rows_[static_cast<size_t>(table)][key].may_be_absent = true;
}

void Oracle::merge(Oracle&& other) {
  for (size_t i = 0; i < kTableCount; ++i) {
    for (const auto& [key, row] : other.rows_[i]) {
      const auto [at, is_new] = rows_[i].try_emplace(key, row);
      if (is_new) continue;
      assert(at->second.digest == row.digest);
      at->second.may_be_absent = at->second.may_be_absent && row.may_be_absent;
    }
    for (const auto& [digest, count] : other.unidentified_[i]) unidentified_[i][digest] += count;
  }
  for (const auto& [user_id, count] : other.counts_) {
    counts_[user_id].certain += count.certain;
    counts_[user_id].unknown += count.unknown;
  }
  other = Oracle();
}

ExpectedCount Oracle::count_of(int64_t user_id) const {
  const auto at = counts_.find(user_id);
  return at == counts_.end() ? ExpectedCount{} : at->second;
}

}  // namespace mosaic::workload
