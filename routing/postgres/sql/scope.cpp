#include "routing/postgres/sql/scope.h"

#include <algorithm>

namespace mosaic::routing {

namespace {

// Seen from a subquery, a column of an enclosing level has one value per evaluation: it can tell where the
// subquery's rows must be, but the subquery can not tell the same of the level's rows.
Resolved as_outer(Resolved resolved) {
  for (KeyColumn& column : resolved.binding.columns) column.is_restrictable = false;
  resolved.relation = -1;
  return resolved;
}

}  // namespace

Resolved find_output_column(const Output& output, std::string_view name, int relation) {
  for (const OutputColumn& column : output.columns) {
    if (column.name == name) return {Resolved::Kind::kFound, column.binding, relation};
  }
  return {output.has_unknown_columns ? Resolved::Kind::kUnknown : Resolved::Kind::kNotFound, {}, relation};
}

const Cte* Scope::find_cte(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_ctes_) {
    const auto at =
        std::find_if(scope->ctes.rbegin(), scope->ctes.rend(), [&](const Cte& c) { return c.name == name; });
    if (at != scope->ctes.rend()) return &*at;
  }
  return nullptr;
}

int Scope::find_relation(std::string_view name, RelationRange range) const {
  for (size_t i = range.first; i < range.last; ++i) {
    if (!relations[i].is_hidden && relations[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Resolved Scope::resolve_name(std::string_view name, RelationRange range) const {
  // The outermost join was merged last.
  for (auto merge = merged.rbegin(); merge != merged.rend(); ++merge) {
    if (merge->name == name && merge->range.first >= range.first && merge->range.last <= range.last) {
      return merge->column;
    }
  }
  bool is_unknown = false;
  for (size_t i = range.first; i < range.last; ++i) {
    if (relations[i].is_hidden) continue;
    Resolved found = find_output_column(relations[i].output, name, static_cast<int>(i));
    // A second relation with this column would make the name ambiguous, which PostgreSQL refuses.
    if (found.kind == Resolved::Kind::kFound) return found;
    is_unknown |= found.kind == Resolved::Kind::kUnknown;
  }
  if (is_unknown) return {Resolved::Kind::kUnknown, {}, -1};
  if (outer_columns_ == nullptr) return {};
  return as_outer(outer_columns_->resolve_name(name, outer_columns_->visible()));
}

Resolved Scope::resolve_qualified(std::string_view relation, std::string_view name,
                                  RelationRange range) const {
  const int found = find_relation(relation, range);
  if (found >= 0) return find_output_column(relations[static_cast<size_t>(found)].output, name, found);
  if (outer_columns_ == nullptr) return {};
  return as_outer(outer_columns_->resolve_qualified(relation, name, outer_columns_->visible()));
}

Resolved Scope::resolve(const PgQuery__ColumnRef& column, RelationRange range) const {
  const NodeList fields = MOSAIC_NODES(column, fields);
  if (fields.is_empty()) return {};
  const std::string_view name = string_of(fields[fields.size() - 1]);
  if (name.empty()) return {};  // a star
  if (fields.size() == 1) return resolve_name(name, range);
  return resolve_qualified(string_of(fields[fields.size() - 2]), name, range);
}

}  // namespace mosaic::routing
