#pragma once
// Walks one SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE with all its subqueries: every table, every
// function and every condition reaches the findings, and each query level's output columns know which keys
// they carry.

#include <string_view>
#include <unordered_map>

#include "routing/postgres/sql/condition_binder.h"
#include "routing/postgres/sql/part_findings.h"
#include "routing/postgres/sql/scope.h"

namespace mosaic::routing {

class QueryAnalysis {
 public:
  // `root`: the whole statement, of which analyze() is called with parts.
  QueryAnalysis(PartFindings& findings, const ProtobufCMessage& root);
  QueryAnalysis(const QueryAnalysis&) = delete;
  QueryAnalysis& operator=(const QueryAnalysis&) = delete;

  PartFindings& findings() { return findings_; }

  // What the query yields: its result columns or its RETURNING list.
  Output analyze(const Node* query, const Scope* outer_columns, const Scope* outer_ctes);
  // An expression: its subqueries, functions and qualified names.
  void visit(const ProtobufCMessage& expression, Scope& scope);
  void visit(const Node* expression, Scope& scope);
  void visit(NodeList expressions, Scope& scope);

  // The pieces that queries are made of.
  void add_with(const PgQuery__WithClause* with, Scope& scope);
  RelationRange add_from_item(const Node* item, Scope& scope);
  void add_from(NodeList items, Scope& scope);
  // A table under its own name or alias. Returns its use, -1 when it is not sharded.
  int add_table(const PgQuery__RangeVar& name, Access access, Scope& scope);
  void add_where(const Node* condition, Scope& scope);
  Output output_of(NodeList targets, Scope& scope);

 private:
  Output analyze_select(const PgQuery__SelectStmt& select, const Scope* outer_columns,
                        const Scope* outer_ctes);
  Output analyze_set_operation(const PgQuery__SelectStmt& select, Scope& scope);
  Output analyze_values(const PgQuery__SelectStmt& select, Scope& scope);
  Output analyze_plain_select(const PgQuery__SelectStmt& select, Scope& scope);
  Output analyze_merge(const PgQuery__MergeStmt& merge, const Scope* outer_columns, const Scope* outer_ctes);
  void add_cte_relation(const Cte& cte, const PgQuery__RangeVar& name, Scope& scope);
  void add_subselect(const PgQuery__RangeSubselect& subselect, Scope& scope);
  void add_table_function(const Node* item, const PgQuery__Alias* alias, Scope& scope);
  RelationRange add_join(const PgQuery__JoinExpr& join, Scope& scope);
  void merge_join_columns(const PgQuery__JoinExpr& join, RelationRange left, RelationRange right,
                          Scope& scope);
  void merge_column(std::string_view name, const PgQuery__JoinExpr& join, RelationRange left,
                    RelationRange right, Scope& scope);
  void add_star(const PgQuery__ColumnRef& star, const Scope& scope, Output& output) const;
  void visit_column(const PgQuery__ColumnRef& column, const Scope& scope);

  PartFindings& findings_;
  SublinkOutputs sublinks_;
  std::unordered_map<std::string_view, int>
      name_counts_;  // how often each unqualified relation name is written
  int window_calls_ = 0;
};

// All columns become sources only: for rows that must not be filtered by what is said about them elsewhere.
void forbid_restriction(Output& output);
// Renames the first columns: t(a, b, c).
void rename_columns(Output& output, NodeList names);

}  // namespace mosaic::routing
