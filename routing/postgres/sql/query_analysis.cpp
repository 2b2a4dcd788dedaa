#include "routing/postgres/sql/query_analysis.h"

#include <algorithm>

#include "routing/postgres/sql/write_analysis.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

void count_names(const ProtobufCMessage& message, std::unordered_map<std::string_view, int>& counts) {
  if (message.descriptor == &pg_query__range_var__descriptor) {
    const auto& name = reinterpret_cast<const PgQuery__RangeVar&>(message);
    if (*name.schemaname == '\0') ++counts[name.relname];
  }
  for_each_child(message, [&](const ProtobufCMessage& child) { count_names(child, counts); });
}

bool has_limit(const PgQuery__SelectStmt& select) {
  return select.limit_count != nullptr || select.limit_offset != nullptr;
}

// DISTINCT alone is a list with one empty node.
bool has_distinct_on(const PgQuery__SelectStmt& select) {
  const NodeList items = MOSAIC_NODES(select, distinct_clause);
  return std::any_of(items.begin(), items.end(),
                     [](const Node* item) { return message_of(item) != nullptr; });
}

bool is_value(const Node* expression) {
  if (const auto* cast = as_cast(expression)) return is_value(cast->arg);
  return as_constant(expression) != nullptr || as_parameter(expression) != nullptr;
}

}  // namespace

void forbid_restriction(Output& output) {
  for (OutputColumn& column : output.columns) {
    for (KeyColumn& key : column.binding.columns) key.is_restrictable = false;
  }
}

void rename_columns(Output& output, NodeList names) {
  if (names.is_empty()) return;
  if (output.has_unknown_positions || names.size() > output.columns.size()) {
    output = Output::unknown();
    return;
  }
  for (size_t i = 0; i < names.size(); ++i) output.columns[i].name = string_of(names[i]);
}

QueryAnalysis::QueryAnalysis(PartFindings& findings, const ProtobufCMessage& root) : findings_(findings) {
  count_names(root, name_counts_);
}

Output QueryAnalysis::analyze(const Node* query, const Scope* outer_columns, const Scope* outer_ctes) {
  if (const auto* select = as_select(query)) return analyze_select(*select, outer_columns, outer_ctes);
  if (const auto* insert = as_insert(query))
    return WriteAnalysis(*this, outer_columns, outer_ctes).analyze(*insert);
  if (const auto* update = as_update(query))
    return WriteAnalysis(*this, outer_columns, outer_ctes).analyze(*update);
  if (const auto* remove = as_delete(query))
    return WriteAnalysis(*this, outer_columns, outer_ctes).analyze(*remove);
  if (const auto* merge = as_merge(query)) return analyze_merge(*merge, outer_columns, outer_ctes);
  return Output::unknown();
}

Output QueryAnalysis::analyze_select(const PgQuery__SelectStmt& select, const Scope* outer_columns,
                                     const Scope* outer_ctes) {
  Scope scope(outer_columns, outer_ctes);
  add_with(select.with_clause, scope);
  Output output;
  if (select.op != PG_QUERY__SET_OPERATION__SETOP_NONE && select.larg != nullptr) {
    output = analyze_set_operation(select, scope);
  } else if (select.n_values_lists > 0) {
    output = analyze_values(select, scope);
  } else {
    output = analyze_plain_select(select, scope);
  }
  visit(select.limit_count, scope);
  visit(select.limit_offset, scope);
  if (select.n_locking_clause > 0) findings_.add_lock();
  // With a limit, rows that are left out make room for others; locked rows are an effect of their own.
  if (has_limit(select) || has_distinct_on(select) || select.n_locking_clause > 0) forbid_restriction(output);
  return output;
}

Output QueryAnalysis::analyze_set_operation(const PgQuery__SelectStmt& select, Scope& scope) {
  Output left = analyze_select(*select.larg, scope.outer_columns(), &scope);
  Output right = analyze_select(*select.rarg, scope.outer_columns(), &scope);
  visit(MOSAIC_NODES(select, sort_clause), scope);
  if (left.has_unknown_positions || right.has_unknown_positions ||
      left.columns.size() != right.columns.size()) {
    return Output::unknown();
  }
  for (size_t i = 0; i < left.columns.size(); ++i) {
    Binding& binding = left.columns[i].binding;
    const Binding& other = right.columns[i].binding;
    binding.columns.insert(binding.columns.end(), other.columns.begin(), other.columns.end());
    // A row comes from either arm: a condition on the result filters both, but neither alone tells the
    // values.
    for (KeyColumn& key : binding.columns) key.is_source = false;
    if (binding.constants.empty() || other.constants.empty()) {
      binding.constants.clear();
    } else {
      binding.constants.insert(binding.constants.end(), other.constants.begin(), other.constants.end());
    }
  }
  return left;
}

Output QueryAnalysis::analyze_values(const PgQuery__SelectStmt& select, Scope& scope) {
  Output output;
  bool is_first = true;
  for (const Node* row : MOSAIC_NODES(select, values_lists)) {
    const auto* items = as_list(row);
    if (items == nullptr) continue;
    for (size_t i = 0; i < items->n_items; ++i) {
      visit(items->items[i], scope);
      if (is_first) {
        OutputColumn column;
        column.name = "column" + std::to_string(i + 1);
        column.binding.constants.push_back(items->items[i]);
        output.columns.push_back(std::move(column));
      } else if (i < output.columns.size() && !output.columns[i].binding.constants.empty()) {
        output.columns[i].binding.constants.push_back(items->items[i]);
      }
      if (!is_value(items->items[i]) && i < output.columns.size())
        output.columns[i].binding.constants.clear();
    }
    is_first = false;
  }
  visit(MOSAIC_NODES(select, sort_clause), scope);
  return output;
}

Output QueryAnalysis::analyze_plain_select(const PgQuery__SelectStmt& select, Scope& scope) {
  add_from(MOSAIC_NODES(select, from_clause), scope);
  const int window_calls_before = window_calls_;
  visit(MOSAIC_NODES(select, target_list), scope);
  visit(MOSAIC_NODES(select, distinct_clause), scope);
  visit(MOSAIC_NODES(select, sort_clause), scope);
  const bool has_windows = select.n_window_clause > 0 || window_calls_ != window_calls_before;
  visit(MOSAIC_NODES(select, window_clause), scope);
  visit(MOSAIC_NODES(select, group_clause), scope);
  visit(select.having_clause, scope);
  add_where(select.where_clause, scope);

  Output output = output_of(MOSAIC_NODES(select, target_list), scope);
  // A window sees rows that a condition on the result would leave out.
  if (has_windows) forbid_restriction(output);
  if (select.n_group_clause > 0) {
    // Groups stay whole only where all rows of a group have the same key.
    std::vector<KeyColumn> grouped;
    for (const Node* item : MOSAIC_NODES(select, group_clause)) {
      const auto* column = as_column_ref(item);
      if (column == nullptr) continue;
      const Resolved resolved = scope.resolve(*column, scope.all());
      grouped.insert(grouped.end(), resolved.binding.columns.begin(), resolved.binding.columns.end());
    }
    for (OutputColumn& column : output.columns) {
      for (KeyColumn& key : column.binding.columns) {
        key.is_restrictable &= std::any_of(grouped.begin(), grouped.end(), [&](const KeyColumn& group) {
          return group.use == key.use && group.is_id == key.is_id;
        });
      }
    }
  }
  return output;
}

Output QueryAnalysis::analyze_merge(const PgQuery__MergeStmt& merge, const Scope* outer_columns,
                                    const Scope* outer_ctes) {
  Scope scope(outer_columns, outer_ctes);
  add_with(merge.with_clause, scope);
  if (merge.relation != nullptr) add_table(*merge.relation, Access::kWrite, scope);
  if (merge.source_relation != nullptr) add_from_item(merge.source_relation, scope);
  visit(merge.join_condition, scope);
  visit(MOSAIC_NODES(merge, merge_when_clauses), scope);
  if (findings_.has_sharded_table()) {
    findings_.refuse({sqlstate::kFeatureNotSupported, "MERGE does not work on sharded tables", "",
                      "Use INSERT ... ON CONFLICT, or UPDATE and INSERT."});
  }
  return Output::unknown();
}

void QueryAnalysis::add_with(const PgQuery__WithClause* with, Scope& scope) {
  if (with == nullptr) return;
  const NodeList queries = MOSAIC_NODES(*with, ctes);
  if (with->recursive) {
    for (const Node* item : queries) {
      if (const auto* cte = as_cte(item)) scope.ctes.push_back({cte->ctename, Output::unknown()});
    }
  }
  for (size_t i = 0; i < queries.size(); ++i) {
    const auto* cte = as_cte(queries[i]);
    if (cte == nullptr) continue;
    Output output = analyze(cte->ctequery, scope.outer_columns(), &scope);
    rename_columns(output, MOSAIC_NODES(*cte, aliascolnames));
    // Evaluated once for all its readers: none of them may filter it for the others. A writer's rows are
    // written whoever reads them.
    if (name_counts_[cte->ctename] > 1 || as_select(cte->ctequery) == nullptr) forbid_restriction(output);
    if (with->recursive) {
      scope.ctes[i].output = std::move(output);
    } else {
      scope.ctes.push_back({cte->ctename, std::move(output)});
    }
  }
}

void QueryAnalysis::add_where(const Node* condition, Scope& scope) {
  visit(condition, scope);
  ConditionBinder(findings_, scope, sublinks_, scope.all(), scope.all()).bind(condition);
}

Output QueryAnalysis::output_of(NodeList targets, Scope& scope) {
  Output output;
  for (const Node* item : targets) {
    const auto* target = as_target(item);
    if (target == nullptr) continue;
    const auto* column = as_column_ref(target->val);
    if (column != nullptr && column->n_fields > 0 &&
        column->fields[column->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR) {
      add_star(*column, scope, output);
      continue;
    }
    OutputColumn result;
    result.name = target->name;
    if (column != nullptr) {
      result.binding = scope.resolve(*column, scope.all()).binding;
      if (result.name.empty() && column->n_fields > 0)
        result.name = string_of(column->fields[column->n_fields - 1]);
    } else if (is_value(target->val)) {
      result.binding.constants.push_back(target->val);
    }
    // What PostgreSQL would name it is not worth following: it may be any name.
    output.has_unknown_columns |= result.name.empty();
    output.columns.push_back(std::move(result));
  }
  return output;
}

void QueryAnalysis::add_star(const PgQuery__ColumnRef& star, const Scope& scope, Output& output) const {
  const auto add = [&](const Output& other) {
    output.columns.insert(output.columns.end(), other.columns.begin(), other.columns.end());
    output.has_unknown_columns |= other.has_unknown_columns;
    output.has_unknown_positions |= other.has_unknown_positions;
  };
  if (star.n_fields > 1) {
    const int relation = scope.find_relation(string_of(star.fields[star.n_fields - 2]), scope.all());
    return add(relation < 0 ? Output::unknown() : scope.relations[static_cast<size_t>(relation)].output);
  }
  for (auto merge = scope.merged.rbegin(); merge != scope.merged.rend(); ++merge) {
    output.columns.push_back({merge->name, merge->column.binding});
    output.has_unknown_positions = true;
  }
  for (const Relation& relation : scope.relations) {
    if (!relation.is_hidden) add(relation.output);
  }
}

void QueryAnalysis::visit(const Node* expression, Scope& scope) {
  if (const ProtobufCMessage* message = message_of(expression)) visit(*message, scope);
}

void QueryAnalysis::visit(NodeList expressions, Scope& scope) {
  for (const Node* expression : expressions) visit(expression, scope);
}

void QueryAnalysis::visit(const ProtobufCMessage& expression, Scope& scope) {
  const ProtobufCMessageDescriptor* type = expression.descriptor;
  if (type == &pg_query__sub_link__descriptor) {
    const auto& sublink = reinterpret_cast<const PgQuery__SubLink&>(expression);
    visit(sublink.testexpr, scope);
    sublinks_[&sublink] = analyze(sublink.subselect, &scope, &scope);
    return;
  }
  if (type == &pg_query__column_ref__descriptor) {
    return visit_column(reinterpret_cast<const PgQuery__ColumnRef&>(expression), scope);
  }
  if (type == &pg_query__func_call__descriptor) {
    const auto& call = reinterpret_cast<const PgQuery__FuncCall&>(expression);
    findings_.add_function(call);
    if (call.over != nullptr) ++window_calls_;
  } else if (type == &pg_query__type_cast__descriptor) {
    const auto& cast = reinterpret_cast<const PgQuery__TypeCast&>(expression);
    if (cast.type_name != nullptr) findings_.add_cast(*cast.type_name);
  } else if (type == &pg_query__a__expr__descriptor) {
    findings_.add_operator(MOSAIC_NODES(reinterpret_cast<const PgQuery__AExpr&>(expression), name));
  } else if (type == &pg_query__a__indirection__descriptor) {
    const auto& indirection = reinterpret_cast<const PgQuery__AIndirection&>(expression);
    for (const Node* step : MOSAIC_NODES(indirection, indirection))
      findings_.add_name_behind_dot(string_of(step));
  }
  for_each_child(expression, [&](const ProtobufCMessage& child) { visit(child, scope); });
}

// public.media.caption must follow its table into the shard's schema; media.caption follows by itself.
void QueryAnalysis::visit_column(const PgQuery__ColumnRef& column, const Scope& scope) {
  const NodeList fields = MOSAIC_NODES(column, fields);
  if (fields.size() > 1) findings_.add_name_behind_dot(string_of(fields[fields.size() - 1]));
  if (fields.size() < 3 || string_of(fields[fields.size() - 3]) != "public") return;
  const std::string_view name = string_of(fields[fields.size() - 2]);
  const int table = findings_.catalog().find_table(name);
  if (table < 0 || findings_.catalog().tables()[static_cast<size_t>(table)].kind != TableKind::kSharded)
    return;
  for (const Scope* level = &scope; level != nullptr; level = level->outer_columns()) {
    const int relation = level->find_relation(name, level->all());
    if (relation < 0) continue;
    if (level->relations[static_cast<size_t>(relation)].is_table) {
      findings_.add_splice(column.location, fields.size() - 1, name);
    }
    return;
  }
}

}  // namespace mosaic::routing
