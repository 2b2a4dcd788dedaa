#include "proxy/statement_cache.h"

#include <cassert>

namespace mosaic::proxy {

StatementCache::StatementCache(size_t bytes_max, uint64_t first_id, uint64_t id_step)
    : bytes_max_(bytes_max), next_id_(first_id), id_step_(id_step) {}

PreparedStatement& StatementCache::acquire(std::string_view text, std::span<const uint32_t> types,
                                           routing::Router& router, const routing::CatalogSnapshot& catalog) {
  key_.assign(reinterpret_cast<const char*>(types.data()), types.size_bytes());
  key_.append(text);
  const auto found = statements_.find(key_);
  if (found != statements_.end()) {
    PreparedStatement& statement = *found->second;
    if (statement.references++ == 0) unused_.erase(statement.unused_at);
    refresh(statement, router, catalog);
    return statement;
  }
  auto made = std::make_unique<PreparedStatement>();
  PreparedStatement& statement = *made;
  statement.id = next_id_;
  next_id_ += id_step_;
  statement.key = key_;
  statement.declared_types.assign(types.begin(), types.end());
  statement.references = 1;
  refresh(statement, router, catalog);
  statements_.emplace(statement.key, std::move(made));
  evict();
  return statement;
}

void StatementCache::refresh(PreparedStatement& statement, routing::Router& router,
                             const routing::CatalogSnapshot& catalog) {
  if (statement.compiled && statement.tables_fingerprint == catalog.tables_fingerprint()) return;
  const std::string_view text = std::string_view(statement.key).substr(statement.declared_types.size() * 4);
  statement.compiled = std::make_unique<routing::CompiledStatement>(router.analyze(text, catalog));
  statement.tables_fingerprint = catalog.tables_fingerprint();
  statement.is_accepted = false;
  bytes_ -= statement.bytes;
  statement.bytes = sizeof statement + 2 * statement.key.size() + statement.compiled->plan().bytes() +
                    statement.compiled->view().tokens.size_bytes();
  bytes_ += statement.bytes;
}

void StatementCache::release(PreparedStatement& statement) {
  assert(statement.references > 0);
  if (--statement.references > 0) return;
  unused_.push_back(&statement);
  statement.unused_at = std::prev(unused_.end());
  evict();
}

void StatementCache::evict() {
  while (bytes_ > bytes_max_ && !unused_.empty()) {
    PreparedStatement* oldest = unused_.front();
    unused_.pop_front();
    bytes_ -= oldest->bytes;
    ++evictions_;
    statements_.erase(statements_.find(oldest->key));
  }
}

}  // namespace mosaic::proxy
