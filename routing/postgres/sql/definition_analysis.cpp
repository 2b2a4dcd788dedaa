// CREATE, ALTER, DROP, GRANT ...: whose tables they name decides where they run. What names a sharded table
// would have to run on all its shards, which is not what a client's connection is for.

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "routing/postgres/sql/part_findings.h"
#include "routing/postgres/sql/query_analysis.h"
#include "routing/postgres/sql/statement_analysis.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

void collect_names(const ProtobufCMessage& message, std::vector<const PgQuery__RangeVar*>& names) {
  if (message.descriptor == &pg_query__range_var__descriptor) {
    names.push_back(reinterpret_cast<const PgQuery__RangeVar*>(&message));
  }
  for_each_child(message, [&](const ProtobufCMessage& child) { collect_names(child, names); });
}

// DROP and COMMENT write names as lists of strings: {schema, table} or, for what hangs on a table, {table,
// trigger}.
std::string_view table_in_list(const Node* object, PgQuery__ObjectType type) {
  const auto* list = as_list(object);
  if (list == nullptr) return {};
  size_t from_end = 1;
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
    case PG_QUERY__OBJECT_TYPE__OBJECT_RULE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY:
      from_end = 2;
      break;
    default:
      return {};
  }
  if (list->n_items < from_end) return {};
  const std::string_view schema = list->n_items > from_end
                                      ? string_of(list->items[list->n_items - from_end - 1])
                                      : std::string_view("public");
  return schema == "public" ? string_of(list->items[list->n_items - from_end]) : std::string_view();
}

std::vector<std::string_view> listed_names(const Node* statement) {
  std::vector<std::string_view> names;
  if (statement->node_case == PG_QUERY__NODE__NODE_DROP_STMT) {
    const auto& drop = *statement->drop_stmt;
    for (const Node* object : MOSAIC_NODES(drop, objects))
      names.push_back(table_in_list(object, drop.remove_type));
  } else if (statement->node_case == PG_QUERY__NODE__NODE_COMMENT_STMT) {
    names.push_back(table_in_list(statement->comment_stmt->object, statement->comment_stmt->objtype));
  }
  return names;
}

bool is_sharded(const CatalogSnapshot& catalog, std::string_view name) {
  const int table = catalog.find_table(name);
  return table >= 0 && catalog.tables()[static_cast<size_t>(table)].kind == TableKind::kSharded;
}

const PgQuery__RangeVar* created_relation(const Node* statement) {
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT:
      return statement->create_stmt->relation;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
      return statement->create_table_as_stmt->into == nullptr ? nullptr
                                                              : statement->create_table_as_stmt->into->rel;
    case PG_QUERY__NODE__NODE_VIEW_STMT:
      return statement->view_stmt->view;
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
      return statement->create_seq_stmt->sequence;
    case PG_QUERY__NODE__NODE_SELECT_STMT: {
      const PgQuery__SelectStmt* first = statement->select_stmt;
      while (first->larg != nullptr) first = first->larg;
      return first->into_clause == nullptr ? nullptr : first->into_clause->rel;
    }
    default:
      return nullptr;
  }
}

// Statements that look at or maintain one table's contents; with a hint they make sense on one shard.
bool is_maintenance(const Node* statement) {
  return statement->node_case == PG_QUERY__NODE__NODE_LOCK_STMT ||
         statement->node_case == PG_QUERY__NODE__NODE_VACUUM_STMT;
}

bool is_utility(const Node* statement) {
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_DO_STMT:
    case PG_QUERY__NODE__NODE_CALL_STMT:
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
    case PG_QUERY__NODE__NODE_NOTIFY_STMT:
      return true;
    default:
      return is_maintenance(statement);
  }
}

bool executes_prepared(const Node* statement) {
  return statement->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT &&
         statement->create_table_as_stmt->query != nullptr &&
         statement->create_table_as_stmt->query->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT;
}

// CREATE TABLE t AS SELECT ... reads what the query names and writes only t.
bool reads_names(const Node* statement) {
  return statement->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT ||
         statement->node_case == PG_QUERY__NODE__NODE_SELECT_STMT ||
         statement->node_case == PG_QUERY__NODE__NODE_VIEW_STMT;
}

Error sharded_definition(std::string_view table) {
  return {
      sqlstate::kManyNodes,
      fmt::format("\"{}\" is sharded: its definition must change on every shard, not through one connection",
                  table),
      "", "Put the change into the schema file and run: mosaic init --schema."};
}

}  // namespace

void analyze_definition(const Node* statement, StatementSource& source, StatementPart& part) {
  const ProtobufCMessage* root = message_of(statement);
  if (root == nullptr) return;
  part.kind = is_utility(statement) ? StatementKind::kUtility : StatementKind::kDdl;
  if (executes_prepared(statement)) {
    part.placement = Placement::kDefault;
    part.refusal = Error{sqlstate::kFeatureNotSupported, "CREATE TABLE AS EXECUTE is not supported",
                         "Statements that SQL's PREPARE has prepared are kept by Mosaic, not by a server.",
                         "Write the query itself: CREATE TABLE ... AS SELECT ..."};
    return;
  }
  PartFindings findings(source, part);
  findings.add_write();
  std::vector<const PgQuery__RangeVar*> names;
  collect_names(*root, names);
  const PgQuery__RangeVar* created = created_relation(statement);
  const bool is_temporary = created != nullptr && std::string_view(created->relpersistence) == "t";

  if (!is_maintenance(statement)) {
    for (const PgQuery__RangeVar* name : names) {
      const std::string_view schema = name->schemaname;
      if ((schema.empty() || schema == "public") && is_sharded(source.catalog(), name->relname)) {
        findings.refuse(sharded_definition(name->relname));
      }
    }
  }
  std::vector<std::string_view> listed = listed_names(statement);
  for (const std::string_view name : listed) {
    if (is_sharded(source.catalog(), name)) findings.refuse(sharded_definition(name));
  }
  if (part.refusal) {
    part.placement = Placement::kAllNodes;
    return;
  }
  for (const PgQuery__RangeVar* name : names) {
    findings.add_table(*name, reads_names(statement) && name != created ? Access::kRead : Access::kWrite);
  }
  for (const std::string_view name : listed) {
    if (name.empty()) continue;
    PgQuery__RangeVar table = PG_QUERY__RANGE_VAR__INIT;
    const std::string terminated(name);
    table.relname = const_cast<char*>(terminated.c_str());
    findings.add_table(table, Access::kWrite);
  }
  if (statement->node_case == PG_QUERY__NODE__NODE_LOCK_STMT) findings.add_lock();
  if (statement->node_case == PG_QUERY__NODE__NODE_CALL_STMT) {
    Scope scope(nullptr, nullptr);
    QueryAnalysis(findings, *root).visit(*root, scope);
  }
  findings.finish();
  part.is_free = false;
  if (part.placement == Placement::kAnywhere) {
    part.placement = Placement::kDefault;
    part.follows_hint = statement->node_case == PG_QUERY__NODE__NODE_DO_STMT ||
                        statement->node_case == PG_QUERY__NODE__NODE_CALL_STMT;
  }
  if (is_temporary) {
    part.kind = StatementKind::kSessionState;
    part.pins_session = true;
  }
}

}  // namespace mosaic::routing
