#pragma once
// Which column a name means: the relations of one query level, what their columns carry, and the levels
// around. Resolution follows PostgreSQL's rules as far as they can be followed without the catalog; where a
// column's owner is not certain the answer is "unknown", never a guess.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/sql/parse_tree.h"

namespace mosaic::routing {

// "these values come from the key (or ID) column of that use".
struct KeyColumn {
  int use = 0;
  bool is_id = false;
  bool is_restrictable =
      true;  // leaving out the use's rows with other values only leaves out rows with other values
  bool is_source = true;  // every value that is not NULL comes from this use
};

// What a column's values are tied to. Empty: nothing that routing could use.
struct Binding {
  std::vector<KeyColumn> columns;
  std::vector<const Node*> constants;  // every value is one of these expressions
  bool is_empty() const { return columns.empty() && constants.empty(); }
};

struct OutputColumn {
  std::string name;
  Binding binding;
};

// The columns that a relation or a query yields.
struct Output {
  std::vector<OutputColumn> columns;
  bool has_unknown_columns = false;    // there may be more of them, with any name
  bool has_unknown_positions = false;  // `columns` are not in order

  static Output unknown() { return {{}, true, true}; }
};

// An entry of a FROM clause.
struct Relation {
  std::string name;    // as columns are qualified with it
  std::string schema;  // a table without alias: may also be qualified with this ("" stands for public)
  bool is_table = false;
  bool is_hidden = false;  // inside a join that has an alias of its own
  Output output;
};

struct Resolved {
  enum class Kind : uint8_t { kFound, kNotFound, kUnknown };
  Kind kind = Kind::kNotFound;
  Binding binding;
  int relation = -1;  // index in the scope that was asked; -1: of an enclosing level
};

// A range of Scope::relations: what a join condition can see.
struct RelationRange {
  size_t first = 0;
  size_t last = 0;
  bool contains(int relation) const {
    return relation >= 0 && static_cast<size_t>(relation) >= first && static_cast<size_t>(relation) < last;
  }
};

struct Cte {
  std::string name;
  Output output;
};

class Scope {
 public:
  // `columns_of`: the level whose columns a correlated subquery sees; `ctes_of`: whose WITH queries it sees.
  // Both outlive this scope.
  Scope(const Scope* columns_of, const Scope* ctes_of) : outer_columns_(columns_of), outer_ctes_(ctes_of) {}

  std::vector<Relation> relations;
  std::vector<Cte> ctes;

  // USING and NATURAL: one column for both sides, found before any relation's own.
  struct MergedColumn {
    std::string name;
    RelationRange range;
    Resolved column;
  };
  std::vector<MergedColumn> merged;

  RelationRange all() const { return {0, relations.size()}; }
  const Scope* outer_columns() const { return outer_columns_; }
  const Scope* outer_ctes() const { return outer_ctes_; }
  // Limits what subqueries of a join condition see of this level.
  void set_visible(std::optional<RelationRange> range) { visible_ = range; }
  RelationRange visible() const { return visible_ ? *visible_ : all(); }

  const Cte* find_cte(std::string_view name) const;
  Resolved resolve(const PgQuery__ColumnRef& column, RelationRange range) const;
  Resolved resolve_name(std::string_view name, RelationRange range) const;
  // Index of the relation that "name." means at this level; -1: none.
  int find_relation(std::string_view name, RelationRange range) const;

 private:
  Resolved resolve_qualified(std::string_view relation, std::string_view name, RelationRange range) const;

  const Scope* outer_columns_;
  const Scope* outer_ctes_;
  std::optional<RelationRange> visible_;
};

// The column `name` of one relation's output; `relation` is passed through.
Resolved find_output_column(const Output& output, std::string_view name, int relation);

}  // namespace mosaic::routing
