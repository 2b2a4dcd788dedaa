#pragma once
// What the functions and relations that users have defined may leave behind in a server session, by name:
// found out from their definitions when the catalog is read, immutable afterwards. Part of a catalog
// snapshot; asked by the analysis of statements. What has no name here may do anything.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "routing/postgres/sql/traces.h"

namespace mosaic::routing {

// One thing that a server defines, as it was read. Several may have the same name (overloads, schemas, the
// triggers and defaults of one table): what one of them may do, the name may do.
struct Definition {
  enum class Kind : uint8_t {
    kFunction,       // also procedures, aggregates, casts and domains (by their type's name), operators
    kRelationRead,   // what reading the relation runs: a view's query, policies
    kRelationWrite,  // what writing to it runs besides: triggers, defaults, checks, index expressions
  };
  Kind kind = Kind::kFunction;
  std::string name;    // unqualified
  std::string source;  // SQL or PL/pgSQL that runs: a body, a query, an expression
  // Functions that run without standing in `source`, by name (a trigger's, an aggregate's).
  std::vector<std::string> calls;
  // Relations that are written in consequence, by name: a partition, a foreign key that cascades.
  std::vector<std::string> writes;
  bool is_opaque = false;  // its code can not be read: C, Python, too long ...
};

class FunctionClasses {
 public:
  // `definitions` in any order; `plain_builtins`: names of pg_catalog whose every overload is immutable or
  // stable.
  FunctionClasses(const std::vector<Definition>& definitions, const std::vector<std::string>& plain_builtins);
  // Of a server that has not been read: nothing is known but PostgreSQL's own functions, and relations may do
  // anything.
  static std::shared_ptr<const FunctionClasses> unread();
  // Of a server on which nothing is defined but plain tables.
  static std::shared_ptr<const FunctionClasses> empty();

  // What a call of `name` (unqualified, as the grammar folds it) may do; `schema` empty: none was written.
  Traces traces_of_call(std::string_view name, std::string_view schema) const;
  // Whether a user has defined a function of this name: a.b may be a call of it (manual, Function Calls).
  bool has_function(std::string_view name) const { return functions_.contains(name); }
  // Reading or writing a relation of this name, in whatever schema.
  Traces traces_of_read(std::string_view relation) const;
  Traces traces_of_write(std::string_view relation) const;
  // What a block of SQL or PL/pgSQL may do: the body of DO.
  Traces traces_of_source(std::string_view source) const;

  uint64_t fingerprint() const { return fingerprint_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using ByName = std::unordered_map<std::string, Traces, Hash, std::equal_to<>>;

  FunctionClasses() = default;
  void resolve(const std::vector<Definition>& definitions);
  void make_fingerprint();
  static std::optional<Traces> find(const ByName& names, std::string_view name);

  ByName functions_;
  ByName builtins_;  // pg_catalog's that are not in the list of known_functions.h
  ByName reads_;     // relations that leave traces only
  ByName writes_;
  bool is_read_ = true;
  uint64_t fingerprint_ = 0;
};

}  // namespace mosaic::routing
