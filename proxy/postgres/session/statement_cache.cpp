#include "proxy/postgres/session/statement_cache.h"

#include <cassert>

namespace mosaic::proxy {

std::string scope_of(const routing::NameScope& names) {
  return std::string(names.role).append(1, '\1').append(names.search_path);
}

routing::NameScope names_of(std::string_view scope) {
  const size_t role = scope.find('\1');
  if (role == std::string_view::npos) return {};
  return {scope.substr(role + 1), scope.substr(0, role)};
}

StatementCache::StatementCache(size_t bytes_max, uint64_t first_id, uint64_t id_step)
    : bytes_max_(bytes_max), next_id_(first_id), id_step_(id_step), first_current_id_(first_id) {}

PreparedStatement& StatementCache::acquire(const routing::ParseMessage& message, routing::Router& router,
                                           const routing::CatalogSnapshot& catalog, routing::Reading reading,
                                           SqlTypes sql_types, std::string_view scope,
                                           const ParsedUnder& parsed_under) {
  const auto count = static_cast<uint16_t>(message.type_bytes.size() / sizeof(uint32_t));
  const char kind =
      static_cast<char>((reading.standard_conforming_strings ? 1 : 0) | (sql_types.count > 0 ? 2 : 0) |
                        (scope.empty() ? 0 : 4) | (parsed_under.id == 0 ? 0 : 8));
  key_.assign(1, kind)
      .append(reinterpret_cast<const char*>(&count), sizeof count)
      .append(message.type_bytes)
      .append(sql_types.text);
  // No text of a client has a null byte.
  if (sql_types.count > 0) key_.push_back('\0');
  if (!scope.empty()) key_.append(scope).push_back('\0');
  if (parsed_under.id != 0)
    key_.append(reinterpret_cast<const char*>(&parsed_under.id), sizeof parsed_under.id);
  key_.append(message.text);
  auto found = statements_.find(key_);
  if (found != statements_.end() && !is_current(*found->second)) {
    retire(found);
    found = statements_.end();
  }
  if (found != statements_.end()) {
    PreparedStatement& statement = *found->second;
    if (statement.references++ == 0) remove_unused(statement);
    refresh(statement, router, catalog);
    return statement;
  }
  auto made = std::make_unique<PreparedStatement>();
  PreparedStatement& statement = *made;
  statement.id = next_id_;
  next_id_ += id_step_;
  statement.key = std::move(key_);  // as long as the text
  statement.reading = reading;
  statement.declared_types = message.type_oids();
  statement.scope = scope;
  statement.parsed_under = parsed_under;
  statement.sql_type_count = sql_types.count;
  statement.sql_type_bytes = sql_types.count > 0 ? sql_types.text.size() + 1 : 0;
  statement.references = 1;
  refresh(statement, router, catalog);
  statements_.emplace(statement.key, std::move(made));
  evict();
  return statement;
}

void StatementCache::refresh(PreparedStatement& statement, routing::Router& router,
                             const routing::CatalogSnapshot& catalog) {
  if (statement.compiled && statement.tables_fingerprint == catalog.tables_fingerprint()) return;
  statement.compiled = std::make_unique<routing::CompiledStatement>(
      router.analyze(statement.text(), catalog, statement.reading, names_of(statement.scope)));
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
  if (const auto retired = retired_.find(&statement); retired != retired_.end()) {
    bytes_ -= statement.bytes;
    retired_.erase(retired);
    return;
  }
  add_unused(statement);
  evict();
}

void StatementCache::retire(ByKey::iterator at) {
  std::unique_ptr<PreparedStatement> statement = std::move(at->second);
  statements_.erase(at);
  if (statement->references > 0) {
    retired_.emplace(statement.get(), std::move(statement));
    return;
  }
  remove_unused(*statement);
  bytes_ -= statement->bytes;
}

void StatementCache::add_unused(PreparedStatement& statement) {
  statement.older_unused = newest_unused_;
  statement.newer_unused = nullptr;
  (newest_unused_ != nullptr ? newest_unused_->newer_unused : oldest_unused_) = &statement;
  newest_unused_ = &statement;
}

void StatementCache::remove_unused(PreparedStatement& statement) {
  (statement.newer_unused != nullptr ? statement.newer_unused->older_unused : newest_unused_) =
      statement.older_unused;
  (statement.older_unused != nullptr ? statement.older_unused->newer_unused : oldest_unused_) =
      statement.newer_unused;
}

void StatementCache::evict() {
  while (bytes_ > bytes_max_ && oldest_unused_ != nullptr) {
    PreparedStatement* oldest = oldest_unused_;
    remove_unused(*oldest);
    bytes_ -= oldest->bytes;
    ++evictions_;
    statements_.erase(statements_.find(oldest->key));
  }
}

}  // namespace mosaic::proxy
