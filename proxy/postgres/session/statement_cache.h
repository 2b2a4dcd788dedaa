#pragma once
// Prepared statements of one worker, each text once however many clients prepare it: plan, parameter types
// and row description. Bounded in bytes (`statement_cache_bytes`): what no client refers to goes first-in
// first-out by last use.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pool/postgres/name_values.h"
#include "routing/postgres/router.h"
#include "routing/postgres/wire/client_messages.h"

namespace mosaic::proxy {

// The types that SQL's PREPARE declares, between the parentheses as written.
struct SqlTypes {
  std::string_view text;
  uint32_t count = 0;
};

// The settings under which its client had it parsed, as far as they decide what constants mean: PostgreSQL
// reads those once (see parse_contexts.h).
struct ParsedUnder {
  static constexpr uint32_t kUnknown = UINT32_MAX;  // they were changing: as it is run
  uint32_t id = 0;                                  // of ParseContexts
  pool::NameValuesRef settings;                     // null: none
};

struct PreparedStatement {
  uint64_t id = 0;  // unique in the process: part of the statement's name on servers
  // How it is read, number of declared types, these as in the Parse message or as PREPARE has them, the text.
  std::string key;
  routing::Reading reading;
  std::unique_ptr<routing::CompiledStatement> compiled;
  std::vector<uint32_t> declared_types;  // as in Parse; 0: let the server decide
  uint32_t sql_type_count = 0;           // as in PREPARE: servers are given it by one
  size_t sql_type_bytes = 0;             // of them in the key
  std::string scope;                     // what its names were looked up by, see scope_of()
  ParsedUnder parsed_under;
  // Known once a server has described or parsed it under `schema_version`; types are the same on every shard.
  std::vector<uint32_t> parameter_types;
  std::string description;  // the frames ParameterDescription and RowDescription (or NoData)
  uint64_t schema_version = 0;
  bool is_accepted = false;    // some server has parsed it
  bool is_unbindable = false;  // a simple query in this form was refused, see bound_query.cpp
  uint32_t parses = 0;         // clients' Parse messages with this text, over all clients

  uint32_t references = 0;  // clients' names
  uint64_t tables_fingerprint = 0;
  size_t bytes = 0;
  PreparedStatement* newer_unused = nullptr;  // without references: its neighbours in StatementCache's list
  PreparedStatement* older_unused = nullptr;

  // The key begins with the reading and the number of types, or types could pass for text.
  static constexpr size_t kCountBytes = 1 + sizeof(uint16_t);
  bool is_that_of(const routing::ParseMessage& message, routing::Reading its_reading = {},
                  std::string_view its_scope = {}, uint32_t its_context = 0) const {
    const size_t type_bytes = declared_types.size() * sizeof(uint32_t);
    return sql_type_count == 0 && reading == its_reading && scope == its_scope &&
           parsed_under.id == its_context && type_bytes == message.type_bytes.size() &&
           text() == message.text &&
           std::string_view(key).substr(kCountBytes, type_bytes) == message.type_bytes;
  }
  std::string_view text() const {
    return std::string_view(key).substr(kCountBytes + declared_types.size() * sizeof(uint32_t) +
                                        sql_type_bytes + scope_bytes() + context_bytes());
  }
  SqlTypes sql_types() const {
    return {std::string_view(key).substr(kCountBytes, sql_type_bytes > 0 ? sql_type_bytes - 1 : 0),
            sql_type_count};
  }
  size_t context_bytes() const { return parsed_under.id == 0 ? 0 : sizeof parsed_under.id; }
  size_t scope_bytes() const { return scope.empty() ? 0 : scope.size() + 1; }
  // By its description: it ends in NoData.
  bool returns_no_rows() const { return description.ends_with(std::string_view("n\0\0\0\4", 5)); }
  // How many values it takes, as far as it is known.
  size_t parameter_count() const {
    const auto& parts = compiled->plan().parts;
    const bool is_sql_prepared = parts.size() == 1 && (parts[0].prepare || parts[0].execute);
    // $1 in PREPARE is a parameter of what it prepares.
    const size_t named = is_sql_prepared ? 0 : compiled->plan().parameter_count;
    return std::max<size_t>({named, types().size(), sql_type_count});
  }
  const std::vector<uint32_t>& types() const {
    return parameter_types.empty() ? declared_types : parameter_types;
  }
  // What one client's name for it counts as (`max_client_prepared_bytes`). Does not change while it lives.
  size_t bytes_of_name() const { return sizeof(PreparedStatement) + 2 * key.size(); }
};

// What decides names, as one text; empty where no table is shadowed (Table::is_shadowed()).
std::string scope_of(const routing::NameScope& names);
routing::NameScope names_of(std::string_view scope);

class StatementCache {
 public:
  // `first_id`, `id_step`: so that several workers never give the same id.
  StatementCache(size_t bytes_max, uint64_t first_id, uint64_t id_step);

  // The statement with this text, read like this, and these types, parsed under these settings, made when
  // new; the caller gets a reference.
  PreparedStatement& acquire(const routing::ParseMessage& message, routing::Router& router,
                             const routing::CatalogSnapshot& catalog, routing::Reading reading = {},
                             SqlTypes sql_types = {}, std::string_view scope = {},
                             const ParsedUnder& parsed_under = {});
  // One more reference to a statement that the caller knows to be referenced.
  void retain(PreparedStatement& statement) { ++statement.references; }
  void release(PreparedStatement& statement);
  // Analyses it again, by its own reading, when the tables' definition has changed since.
  void refresh(PreparedStatement& statement, routing::Router& router,
               const routing::CatalogSnapshot& catalog);

  // Descriptions made under an older version are not used any more, and who parses a text again gets a
  // statement of its own: servers may hold plans of the old one that they refuse to run ("cached plan must
  // not change result type").
  uint64_t schema_version() const { return schema_version_; }
  void forget_schema() {
    ++schema_version_;
    first_current_id_ = next_id_;
  }
  // By its id: false also for one that is no more.
  bool is_current(uint64_t statement_id) const { return statement_id >= first_current_id_; }
  bool is_current(const PreparedStatement& statement) const { return is_current(statement.id); }
  // Those of the current schema, in no order.
  void for_each_current(const std::function<void(const PreparedStatement&)>& visit) const {
    for (const auto& [key, statement] : statements_) {
      if (is_current(*statement)) visit(*statement);
    }
  }

  size_t bytes() const { return bytes_; }
  size_t size() const { return statements_.size() + retired_.size(); }
  uint64_t evictions() const { return evictions_; }
  void set_bytes_max(size_t bytes_max) { bytes_max_ = bytes_max; }

 private:
  void add_unused(PreparedStatement& statement);
  void remove_unused(PreparedStatement& statement);
  void evict();
  using ByKey = std::unordered_map<std::string_view, std::unique_ptr<PreparedStatement>>;
  void retire(ByKey::iterator at);

  size_t bytes_max_;
  uint64_t next_id_, id_step_;
  uint64_t first_current_id_;  // of the statements made under `schema_version_`
  uint64_t schema_version_ = 1;
  size_t bytes_ = 0;
  uint64_t evictions_ = 0;
  std::string key_;  // scratch
  ByKey statements_;
  // Of an older schema, and still referred to by clients that parsed them then.
  std::unordered_map<const PreparedStatement*, std::unique_ptr<PreparedStatement>> retired_;
  PreparedStatement* newest_unused_ = nullptr;  // by when it was released
  PreparedStatement* oldest_unused_ = nullptr;
};

// One more reference, for as long as it lives.
class StatementReference {
 public:
  StatementReference() = default;
  StatementReference(StatementCache& cache, PreparedStatement& statement)
      : cache_(&cache), statement_(&statement) {
    cache.retain(statement);
  }
  StatementReference(StatementReference&& other) noexcept { *this = std::move(other); }
  StatementReference& operator=(StatementReference&& other) noexcept {
    std::swap(cache_, other.cache_);
    std::swap(statement_, other.statement_);
    return *this;
  }
  ~StatementReference() {
    if (statement_ != nullptr) cache_->release(*statement_);
  }
  PreparedStatement* get() const { return statement_; }

 private:
  StatementCache* cache_ = nullptr;
  PreparedStatement* statement_ = nullptr;
};

}  // namespace mosaic::proxy
