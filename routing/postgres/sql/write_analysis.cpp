#include "routing/postgres/sql/write_analysis.h"

#include <fmt/format.h>

#include "routing/postgres/sql/key_source.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

bool is_default(const Node* value) {
  return value != nullptr && value->node_case == PG_QUERY__NODE__NODE_SET_TO_DEFAULT;
}

bool is_next_id(const Node* value) {
  const auto* call = as_function(value);
  return call != nullptr && call->n_funcname > 0 &&
         string_of(call->funcname[call->n_funcname - 1]) == "next_id";
}

// Whether a key of `from` is the same key when it is stored in `to`: a varchar(n) may cut it.
bool keeps_keys(const Table& from, const Table& to) {
  const bool is_cut =
      to.key_length_max > 0 && (from.key_length_max == 0 || from.key_length_max > to.key_length_max);
  return from.key_type == to.key_type && !is_cut;
}

Error missing_key(const Table& table) {
  return {sqlstate::kNoShardKey,
          fmt::format("INSERT into \"{}\" gives no value for its shard key \"{}\"", table.name, table.key),
          "",
          fmt::format("Add \"{}\" to the column list with a value, or say the shard: /* mosaic {}=123 */.",
                      table.key, table.key)};
}

Error unknown_columns(const Table& table) {
  return {sqlstate::kUnusableKey,
          fmt::format("INSERT into \"{}\" without a column list: Mosaic does not know which column is \"{}\"",
                      table.name, table.key),
          "The table's columns are read when it has been created on the default node.",
          fmt::format("Name the columns: INSERT INTO {} ({}, ...).", table.name, table.key)};
}

Error unusable_key(const Table& table) {
  return {sqlstate::kUnusableKey,
          fmt::format("the shard key \"{}\" of \"{}\" is an expression that only the server can evaluate",
                      table.key, table.name),
          "",
          fmt::format("Give \"{}\" as a literal or a parameter, or say the shard: /* mosaic {}=123 */.",
                      table.key, table.key)};
}

Error null_key(const Table& table) {
  return {sqlstate::kUnusableKey,
          fmt::format("the shard key \"{}\" of \"{}\" is NULL", table.key, table.name),
          "A row without a shard key has no shard.", fmt::format("Give \"{}\" a value.", table.key)};
}

Error unusable_id(const Table& table) {
  return {
      sqlstate::kUnusableKey,
      fmt::format("the ID \"{}\" of \"{}\" is an expression: it may not carry the row's shard", table.id,
                  table.name),
      "",
      fmt::format("Leave \"{}\" to its default, or write next_id(), a literal or a parameter.", table.id)};
}

Error key_change(const Table& table, std::string_view column) {
  return {sqlstate::kKeyChange,
          fmt::format("UPDATE sets \"{}\" of \"{}\" to a value that only the server can evaluate", column,
                      table.name),
          "The row might belong to another shard then.",
          fmt::format(
              "Set \"{}\" to a literal or a parameter of the same shard, or insert the row anew and delete "
              "the old one.",
              column)};
}

}  // namespace

Output WriteAnalysis::analyze(const PgQuery__DeleteStmt& remove) {
  query_.add_with(remove.with_clause, scope_);
  if (remove.relation != nullptr) query_.add_table(*remove.relation, Access::kWrite, scope_);
  query_.add_from(MOSAIC_NODES(remove, using_clause), scope_);
  query_.add_where(remove.where_clause, scope_);
  return returning(MOSAIC_NODES(remove, returning_list));
}

Output WriteAnalysis::analyze(const PgQuery__UpdateStmt& update) {
  query_.add_with(update.with_clause, scope_);
  const int use =
      update.relation == nullptr ? -1 : query_.add_table(*update.relation, Access::kWrite, scope_);
  query_.add_from(MOSAIC_NODES(update, from_clause), scope_);
  query_.visit(MOSAIC_NODES(update, target_list), scope_);
  query_.add_where(update.where_clause, scope_);
  if (use >= 0) check_assignments(MOSAIC_NODES(update, target_list), findings_.table_of(use), use);
  return returning(MOSAIC_NODES(update, returning_list));
}

Output WriteAnalysis::analyze(const PgQuery__InsertStmt& insert) {
  query_.add_with(insert.with_clause, scope_);
  const int use =
      insert.relation == nullptr ? -1 : query_.add_table(*insert.relation, Access::kWrite, scope_);
  const Table* table = use < 0 ? nullptr : &findings_.table_of(use);
  const Columns columns = table == nullptr ? Columns() : find_columns(insert, *table);
  const auto* rows = as_select(insert.select_stmt);
  // The rows must not see the target's columns: only what WITH names.
  const Scope* outer_columns = scope_.outer_columns();
  if (table != nullptr && !columns.are_known) {
    findings_.part().uses[static_cast<size_t>(use)].unbound = unknown_columns(*table);
  } else if (table != nullptr && columns.key < 0) {
    findings_.part().uses[static_cast<size_t>(use)].unbound = missing_key(*table);
  }
  if (rows != nullptr && rows->n_values_lists > 0 && table != nullptr) {
    analyze_rows(*rows, columns, use);
  } else if (insert.select_stmt != nullptr) {
    const Output output = query_.analyze(insert.select_stmt, outer_columns, &scope_);
    if (table != nullptr) analyze_query_rows(insert, output, columns, use);
  }
  if (insert.on_conflict_clause != nullptr) analyze_conflict(*insert.on_conflict_clause, table, use);
  return returning(MOSAIC_NODES(insert, returning_list));
}

WriteAnalysis::Columns WriteAnalysis::find_columns(const PgQuery__InsertStmt& insert,
                                                   const Table& table) const {
  Columns columns;
  if (insert.n_cols == 0) {
    columns.are_known = !table.columns.empty() || insert.select_stmt == nullptr;
    if (insert.select_stmt == nullptr) return columns;  // DEFAULT VALUES
    columns.key = table.find_column(table.key);
    columns.id = table.id.empty() ? -1 : table.find_column(table.id);
    return columns;
  }
  for (size_t i = 0; i < insert.n_cols; ++i) {
    const auto* column = as_target(insert.cols[i]);
    if (column == nullptr) continue;
    if (table.key == column->name) columns.key = static_cast<int>(i);
    if (!table.id.empty() && table.id == column->name) columns.id = static_cast<int>(i);
  }
  return columns;
}

void WriteAnalysis::analyze_rows(const PgQuery__SelectStmt& values, const Columns& columns, int use) {
  Scope rows_scope(scope_.outer_columns(), &scope_);
  query_.add_with(values.with_clause, rows_scope);
  const Table& table = findings_.table_of(use);
  KeyTerm key{false, true, table.key_type, {}, table.key_length_max};
  KeyTerm id{true, true, KeyType::kInt8, {}};
  for (const Node* row : MOSAIC_NODES(values, values_lists)) {
    const auto* items = as_list(row);
    if (items == nullptr) continue;
    query_.visit(MOSAIC_NODES(*items, items), rows_scope);
    const auto item = [&](int position) -> const Node* {
      return position >= 0 && static_cast<size_t>(position) < items->n_items ? items->items[position]
                                                                             : nullptr;
    };
    TableUse& target = findings_.part().uses[static_cast<size_t>(use)];
    if (const Node* value = item(columns.key)) {
      add_key_value(value, table, key, target);
    } else if (!target.unbound) {
      target.unbound = missing_key(table);
    }
    if (const Node* value = item(columns.id)) add_id_value(value, table, id);
  }
  query_.visit(MOSAIC_NODES(values, sort_clause), rows_scope);
  query_.visit(values.limit_count, rows_scope);
  query_.visit(values.limit_offset, rows_scope);
  TableUse& target = findings_.part().uses[static_cast<size_t>(use)];
  if (!target.unbound && !key.any_of.empty()) target.terms.push_back(std::move(key));
  if (!id.any_of.empty()) target.checks.push_back(std::move(id));
}

void WriteAnalysis::add_key_value(const Node* value, const Table& table, KeyTerm& term, TableUse& target) {
  if (is_null_literal(value)) {
    findings_.refuse(null_key(table));
  } else if (const auto source = find_key_source(findings_.source(), value, table.key_type)) {
    term.any_of.push_back(*source);
  } else if (!target.unbound) {
    target.unbound = unusable_key(table);
  }
}

void WriteAnalysis::add_id_value(const Node* value, const Table& table, KeyTerm& term) {
  if (is_default(value) || is_next_id(value) || is_null_literal(value)) return;
  if (const auto source = find_key_source(findings_.source(), value, KeyType::kInt8)) {
    term.any_of.push_back(*source);
  } else {
    findings_.refuse(unusable_id(table));
  }
}

// INSERT ... SELECT: the new rows' key is a constant, or the key of rows that are read.
void WriteAnalysis::analyze_query_rows(const PgQuery__InsertStmt& insert, const Output& output,
                                       const Columns& columns, int use) {
  const Table& table = findings_.table_of(use);
  TableUse& target = findings_.part().uses[static_cast<size_t>(use)];
  if (target.unbound) return;
  target.unbound = unusable_key(table);
  const auto column_at = [&](int position) -> const OutputColumn* {
    if (position < 0 || output.has_unknown_positions) return nullptr;
    return static_cast<size_t>(position) < output.columns.size()
               ? &output.columns[static_cast<size_t>(position)]
               : nullptr;
  };
  const auto* key = column_at(columns.key);
  if (key != nullptr) {
    KeyTerm term{false, true, table.key_type, {}, table.key_length_max};
    for (const Node* constant : key->binding.constants) add_key_value(constant, table, term, target);
    if (!term.any_of.empty() && term.any_of.size() == key->binding.constants.size()) {
      target.terms.push_back(std::move(term));
    }
    for (const KeyColumn& source : key->binding.columns) {
      if (source.is_source && !source.is_id && keeps_keys(findings_.table_of(source.use), table))
        findings_.add_edge(source.use, use);
    }
  }
  const auto* id = column_at(columns.id);
  if (id == nullptr) return;
  const auto* select = as_select(insert.select_stmt);
  const bool is_plain = select != nullptr && static_cast<size_t>(columns.id) < select->n_target_list &&
                        select->n_target_list == output.columns.size();
  const auto* written = is_plain ? as_target(select->target_list[columns.id]) : nullptr;
  if (written != nullptr && is_next_id(written->val)) return;
  KeyTerm term{true, true, KeyType::kInt8, {}};
  for (const Node* constant : id->binding.constants) add_id_value(constant, table, term);
  bool is_known = !id->binding.constants.empty();
  for (const KeyColumn& source : id->binding.columns) is_known |= source.is_id;
  if (!is_known) findings_.refuse(unusable_id(table));
  if (!term.any_of.empty()) findings_.part().uses[static_cast<size_t>(use)].checks.push_back(std::move(term));
}

void WriteAnalysis::analyze_conflict(const PgQuery__OnConflictClause& conflict, const Table* table, int use) {
  Relation excluded;
  excluded.name = "excluded";
  excluded.output = Output::unknown();
  scope_.relations.push_back(std::move(excluded));
  if (conflict.infer != nullptr) query_.visit(conflict.infer->base, scope_);
  query_.visit(MOSAIC_NODES(conflict, target_list), scope_);
  query_.visit(conflict.where_clause, scope_);
  if (table != nullptr) check_assignments(MOSAIC_NODES(conflict, target_list), *table, use);
  // RETURNING does not see "excluded".
  scope_.relations.pop_back();
}

void WriteAnalysis::check_assignments(NodeList targets, const Table& table, int use) {
  for (const Node* item : targets) {
    const auto* target = as_target(item);
    if (target == nullptr) continue;
    if (table.key == target->name) check_assignment(*target, false, table, use);
    if (!table.id.empty() && table.id == target->name) check_assignment(*target, true, table, use);
  }
}

void WriteAnalysis::check_assignment(const PgQuery__ResTarget& target, bool is_id, const Table& table,
                                     int use) {
  const Node* value = target.val;
  if (const auto* multi = as_multi_assign(value)) {
    // (a, b) = (1, 2); a subquery on the right has no values to look at.
    const auto* row = as_row(multi->source);
    const bool is_inside =
        row != nullptr && multi->colno >= 1 && static_cast<size_t>(multi->colno) <= row->n_args;
    value = is_inside ? row->args[multi->colno - 1] : nullptr;
  }
  if (const auto* column = as_column_ref(value)) {
    // SET user_id = user_id, or = excluded.user_id, which is the key that the row was routed by.
    const bool is_excluded = column->n_fields == 2 && string_of(column->fields[0]) == "excluded" &&
                             string_of(column->fields[1]) == target.name;
    const Resolved resolved = scope_.resolve(*column, scope_.all());
    const bool is_itself = resolved.binding.columns.size() == 1 && resolved.binding.columns[0].use == use &&
                           resolved.binding.columns[0].is_id == is_id;
    if (is_excluded || is_itself) return;
  }
  const KeyType type = is_id ? KeyType::kInt8 : table.key_type;
  const auto source = value == nullptr ? std::nullopt : find_key_source(findings_.source(), value, type);
  if (!source || is_null_literal(value)) return findings_.refuse(key_change(table, target.name));
  findings_.part().uses[static_cast<size_t>(use)].checks.push_back(
      {is_id, false, type, {*source}, is_id ? 0 : table.key_length_max});
}

Output WriteAnalysis::returning(NodeList targets) {
  query_.visit(targets, scope_);
  Output output = query_.output_of(targets, scope_);
  forbid_restriction(output);
  return output;
}

}  // namespace mosaic::routing
