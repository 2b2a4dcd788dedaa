#pragma once
// One analysis per family of statements. Each reads one statement of the parse tree and completes its
// StatementPart; each returns false when the statement is not of its family.

#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/statement_source.h"

namespace mosaic::routing {

// Any statement: asks the families in turn.
void analyze_statement(const Node* statement, StatementSource& source, StatementPart& part);

// BEGIN, SET, SHOW, RESET, DISCARD, DEALLOCATE, PREPARE, LISTEN ... and SELECT set_config() on its own.
bool analyze_session_statement(const Node* statement, StatementSource& source, StatementPart& part);
// PREPARE and EXECUTE of SQL: where the inner statement and the arguments stand. EXPLAIN EXECUTE comes here
// too.
void analyze_prepare(const PgQuery__PrepareStmt& prepare, const StatementSource& source, StatementPart& part);
void analyze_execute(const PgQuery__ExecuteStmt& execute, const StatementSource& source, StatementPart& part);
// COPY in all its forms.
bool analyze_copy(const PgQuery__CopyStmt& copy, StatementSource& source, StatementPart& part);
// SELECT, INSERT, UPDATE, DELETE, MERGE: the `query`, which may stand inside of EXPLAIN or DECLARE CURSOR.
void analyze_query(const Node* query, StatementSource& source, StatementPart& part);
// CREATE, ALTER, DROP and all else that changes what exists.
void analyze_definition(const Node* statement, StatementSource& source, StatementPart& part);

}  // namespace mosaic::routing
