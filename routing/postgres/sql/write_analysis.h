#pragma once
// INSERT, UPDATE and DELETE: which shard a new row's key names, and that no update moves a row to another
// shard.

#include <string>
#include <vector>

#include "routing/postgres/sql/query_analysis.h"

namespace mosaic::routing {

class WriteAnalysis {
 public:
  WriteAnalysis(QueryAnalysis& query, const Scope* outer_columns, const Scope* outer_ctes)
      : query_(query), findings_(query.findings()), scope_(outer_columns, outer_ctes) {}

  // Each yields its RETURNING list.
  Output analyze(const PgQuery__InsertStmt& insert);
  Output analyze(const PgQuery__UpdateStmt& update);
  Output analyze(const PgQuery__DeleteStmt& remove);

 private:
  // Where the target's key and ID stand in each new row; -1: not given.
  struct Columns {
    int key = -1;
    int id = -1;
    bool are_known = true;
  };
  Columns find_columns(const PgQuery__InsertStmt& insert, const Table& table) const;
  void analyze_rows(const PgQuery__SelectStmt& values, const Columns& columns, int use);
  void analyze_query_rows(const PgQuery__InsertStmt& insert, const Output& output, const Columns& columns,
                          int use);
  void analyze_conflict(const PgQuery__OnConflictClause& conflict, const Table* table, int use);
  void add_key_value(const Node* value, const Table& table, KeyTerm& term, TableUse& target);
  void add_id_value(const Node* value, const Table& table, KeyTerm& term);
  void check_assignments(NodeList targets, const Table& table, int use);
  void check_assignment(const PgQuery__ResTarget& target, bool is_id, const Table& table, int use);
  Output returning(NodeList targets);

  QueryAnalysis& query_;
  PartFindings& findings_;
  Scope scope_;
};

}  // namespace mosaic::routing
