// The FROM clause: tables, subqueries, functions and joins become the relations of a scope.

#include <algorithm>

#include "routing/postgres/sql/query_analysis.h"

namespace mosaic::routing {

namespace {

// Known columns of a table; sharded ones have at least their key and ID.
Output output_of_table(const Table& table, int use) {
  Output output;
  const auto binding_of = [&](std::string_view column) {
    Binding binding;
    if (use < 0) return binding;
    if (column == table.key) binding.columns.push_back({use, false});
    if (column == table.id) binding.columns.push_back({use, true});
    return binding;
  };
  if (!table.columns.empty()) {
    for (const Column& column : table.columns)
      output.columns.push_back({column.name, binding_of(column.name)});
    return output;
  }
  output = Output::unknown();
  if (use < 0) return output;
  output.columns.push_back({table.key, binding_of(table.key)});
  if (!table.id.empty() && table.id != table.key) output.columns.push_back({table.id, binding_of(table.id)});
  return output;
}

std::string_view alias_name(const PgQuery__Alias* alias) {
  return alias == nullptr ? std::string_view() : std::string_view(alias->aliasname);
}

void apply_alias(const PgQuery__Alias* alias, Relation& relation) {
  if (alias == nullptr) return;
  relation.name = alias->aliasname;
  rename_columns(relation.output, MOSAIC_NODES(*alias, colnames));
}

}  // namespace

void QueryAnalysis::add_from(NodeList items, Scope& scope) {
  for (const Node* item : items) add_from_item(item, scope);
}

RelationRange QueryAnalysis::add_from_item(const Node* item, Scope& scope) {
  const size_t first = scope.relations.size();
  if (const auto* join = as_join(item)) return add_join(*join, scope);
  if (const auto* name = as_range_var(item)) {
    const Cte* cte = *name->schemaname == '\0' ? scope.find_cte(name->relname) : nullptr;
    if (cte != nullptr) {
      add_cte_relation(*cte, *name, scope);
    } else {
      add_table(*name, Access::kRead, scope);
    }
  } else if (const auto* subselect = as_range_subselect(item)) {
    add_subselect(*subselect, scope);
  } else if (const auto* sample = as_range_sample(item)) {
    add_from_item(sample->relation, scope);
    visit(MOSAIC_NODES(*sample, args), scope);
    visit(sample->repeatable, scope);
  } else if (const auto* function = as_range_function(item)) {
    add_table_function(item, function->alias, scope);
  } else if (const auto* table_function = as_range_table_function(item)) {
    add_table_function(item, table_function->alias, scope);
  } else {
    add_table_function(item, nullptr, scope);
  }
  return {first, scope.relations.size()};
}

int QueryAnalysis::add_table(const PgQuery__RangeVar& name, Access access, Scope& scope) {
  const int use = findings_.add_table(name, access);
  Relation relation;
  relation.name = name.relname;
  relation.is_table = name.alias == nullptr;
  const int table = findings_.source().find_listed(name.schemaname, name.relname);
  relation.output = table < 0
                        ? Output::unknown()
                        : output_of_table(findings_.catalog().tables()[static_cast<size_t>(table)], use);
  apply_alias(name.alias, relation);
  scope.relations.push_back(std::move(relation));
  return use;
}

void QueryAnalysis::add_cte_relation(const Cte& cte, const PgQuery__RangeVar& name, Scope& scope) {
  Relation relation;
  relation.name = name.relname;
  relation.output = cte.output;
  apply_alias(name.alias, relation);
  scope.relations.push_back(std::move(relation));
}

void QueryAnalysis::add_subselect(const PgQuery__RangeSubselect& subselect, Scope& scope) {
  Relation relation;
  relation.output = analyze(subselect.subquery, subselect.lateral ? &scope : scope.outer_columns(), &scope);
  apply_alias(subselect.alias, relation);
  scope.relations.push_back(std::move(relation));
}

void QueryAnalysis::add_table_function(const Node* item, const PgQuery__Alias* alias, Scope& scope) {
  visit(item, scope);
  Relation relation;
  relation.name = alias_name(alias);
  relation.output = Output::unknown();
  if (alias != nullptr) {
    // Its columns may be named here, which keeps an unqualified name from meaning an enclosing level's.
    for (const Node* name : MOSAIC_NODES(*alias, colnames)) {
      relation.output.columns.push_back({std::string(string_of(name)), {}});
    }
  }
  scope.relations.push_back(std::move(relation));
}

RelationRange QueryAnalysis::add_join(const PgQuery__JoinExpr& join, Scope& scope) {
  const RelationRange left = add_from_item(join.larg, scope);
  const RelationRange right = add_from_item(join.rarg, scope);
  const RelationRange both{left.first, right.last};
  merge_join_columns(join, left, right, scope);
  if (join.quals != nullptr) {
    // What a condition filters: the preserved side of an outer join keeps all its rows.
    RelationRange restrictable = both;
    if (join.jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT) restrictable = right;
    if (join.jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT) restrictable = left;
    if (join.jointype == PG_QUERY__JOIN_TYPE__JOIN_FULL) restrictable = {};
    scope.set_visible(both);
    visit(join.quals, scope);
    scope.set_visible(std::nullopt);
    ConditionBinder(findings_, scope, sublinks_, both, restrictable).bind(join.quals);
  }
  if (join.join_using_alias != nullptr) {
    Relation relation;
    relation.name = join.join_using_alias->aliasname;
    relation.output = Output::unknown();
    scope.relations.push_back(std::move(relation));
  }
  if (join.alias != nullptr) {
    Relation relation;
    const auto inside = [&](const RelationRange& range) { return range.first >= both.first; };
    for (auto merge = scope.merged.rbegin(); merge != scope.merged.rend(); ++merge) {
      if (!inside(merge->range)) continue;
      relation.output.columns.push_back({merge->name, merge->column.binding});
      relation.output.has_unknown_positions = true;
    }
    for (size_t i = both.first; i < scope.relations.size(); ++i) {
      Relation& part = scope.relations[i];
      if (part.is_hidden) continue;
      part.is_hidden = true;
      relation.output.columns.insert(relation.output.columns.end(), part.output.columns.begin(),
                                     part.output.columns.end());
      relation.output.has_unknown_columns |= part.output.has_unknown_columns;
      relation.output.has_unknown_positions |= part.output.has_unknown_positions;
    }
    std::erase_if(scope.merged, [&](const Scope::MergedColumn& merge) { return inside(merge.range); });
    apply_alias(join.alias, relation);
    scope.relations.push_back(std::move(relation));
  }
  return {left.first, scope.relations.size()};
}

void QueryAnalysis::merge_join_columns(const PgQuery__JoinExpr& join, RelationRange left, RelationRange right,
                                       Scope& scope) {
  for (const Node* name : MOSAIC_NODES(join, using_clause))
    merge_column(string_of(name), join, left, right, scope);
  if (!join.is_natural) return;
  std::vector<std::string> names;
  for (size_t i = left.first; i < right.last; ++i) {
    for (const OutputColumn& column : scope.relations[i].output.columns) {
      const bool is_new = std::find(names.begin(), names.end(), column.name) == names.end();
      if (is_new && !column.name.empty() && !column.binding.is_empty()) names.push_back(column.name);
    }
  }
  for (const std::string& name : names) merge_column(name, join, left, right, scope);
}

void QueryAnalysis::merge_column(std::string_view name, const PgQuery__JoinExpr& join, RelationRange left,
                                 RelationRange right, Scope& scope) {
  using Kind = Resolved::Kind;
  const auto resolve_inside = [&](RelationRange range) {
    Resolved resolved = scope.resolve_name(name, range);
    // Found further out means: not here.
    if (resolved.kind == Kind::kFound && resolved.relation < 0) resolved = {};
    return resolved;
  };
  const Resolved from_left = resolve_inside(left);
  const Resolved from_right = resolve_inside(right);
  if (join.is_natural && (from_left.kind == Kind::kNotFound || from_right.kind == Kind::kNotFound)) return;
  RelationRange restrictable{left.first, right.last};
  Resolved merged = from_left;
  switch (join.jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_INNER:
      break;
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT:
      restrictable = right;
      break;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT:
      restrictable = left;
      merged = from_right;
      break;
    default:
      restrictable = {};
      merged = {Kind::kUnknown, {}, -1};
      break;
  }
  if (from_left.kind == Kind::kFound && from_right.kind == Kind::kFound) {
    ConditionBinder(findings_, scope, sublinks_, {left.first, right.last}, restrictable)
        .bind_equal_columns(from_left, from_right);
  }
  scope.merged.push_back({std::string(name), {left.first, right.last}, merged});
}

}  // namespace mosaic::routing
