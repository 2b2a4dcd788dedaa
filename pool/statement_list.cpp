#include "pool/statement_list.h"

#include <fmt/format.h>

namespace mosaic::pool {

ServerStatementName::ServerStatementName(const StatementKey& key) {
  const auto written =
      fmt::format_to_n(text_, sizeof text_, "mosaic_{}_{}", key.statement, key.shard_plus_one);
  size_ = written.size;
}

bool StatementList::touch(const StatementKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return false;
  order_.splice(order_.begin(), order_, found->second);
  return true;
}

void StatementList::insert(const StatementKey& key) {
  if (touch(key)) return;
  order_.push_front(key);
  index_.emplace(key, order_.begin());
}

void StatementList::erase(const StatementKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  order_.erase(found->second);
  index_.erase(found);
}

std::optional<StatementKey> StatementList::evict(size_t limit) {
  if (order_.empty() || order_.size() < limit) return std::nullopt;
  const StatementKey oldest = order_.back();
  erase(oldest);
  return oldest;
}

void StatementList::clear() {
  order_.clear();
  index_.clear();
}

}  // namespace mosaic::pool
