// CREATE, ALTER, DROP, GRANT ...: whose tables they name decides where they run. What names a sharded table
// would have to run on all its shards, which is not what a client's connection is for.

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "routing/postgres/function_classes.h"
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
struct ListedName {
  std::string_view schema, name;  // schema: empty where none is written
};
ListedName table_in_list(const Node* object, PgQuery__ObjectType type) {
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
  const std::string_view schema =
      list->n_items > from_end ? string_of(list->items[list->n_items - from_end - 1]) : std::string_view();
  if (!schema.empty() && schema != "public") return {};
  return {schema, string_of(list->items[list->n_items - from_end])};
}

std::vector<ListedName> listed_names(const Node* statement) {
  std::vector<ListedName> names;
  if (statement->node_case == PG_QUERY__NODE__NODE_DROP_STMT) {
    const auto& drop = *statement->drop_stmt;
    for (const Node* object : MOSAIC_NODES(drop, objects))
      names.push_back(table_in_list(object, drop.remove_type));
  } else if (statement->node_case == PG_QUERY__NODE__NODE_COMMENT_STMT) {
    names.push_back(table_in_list(statement->comment_stmt->object, statement->comment_stmt->objtype));
  }
  return names;
}

bool is_sharded(StatementSource& source, std::string_view schema, std::string_view name) {
  const int table = source.find_listed(schema, name);
  return table >= 0 && source.catalog().tables()[static_cast<size_t>(table)].kind == TableKind::kSharded;
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

bool is_temporary_schema(std::string_view schema) {
  return schema == "pg_temp" || schema.starts_with("pg_temp_");
}

// CREATE TYPE pg_temp.t, CREATE FUNCTION pg_temp.f ...: names as lists of strings.
bool is_temporary_name(NodeList name) {
  return name.size() > 1 && is_temporary_schema(string_of(name[name.size() - 2]));
}

bool makes_temporary(const Node* statement, const PgQuery__RangeVar* created) {
  if (created != nullptr)
    return std::string_view(created->relpersistence) == "t" || is_temporary_schema(created->schemaname);
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_function_stmt, funcname));
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_enum_stmt, type_name));
    case PG_QUERY__NODE__NODE_CREATE_RANGE_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_range_stmt, type_name));
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_domain_stmt, domainname));
    case PG_QUERY__NODE__NODE_DEFINE_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->define_stmt, defnames));
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_stats_stmt, defnames));
    case PG_QUERY__NODE__NODE_CREATE_CONVERSION_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_conversion_stmt, conversion_name));
    case PG_QUERY__NODE__NODE_CREATE_OP_CLASS_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_op_class_stmt, opclassname));
    case PG_QUERY__NODE__NODE_CREATE_OP_FAMILY_STMT:
      return is_temporary_name(MOSAIC_NODES(*statement->create_op_family_stmt, opfamilyname));
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
      return statement->composite_type_stmt->typevar != nullptr &&
             is_temporary_schema(statement->composite_type_stmt->typevar->schemaname);
    default:
      return false;
  }
}

// The body of DO; empty for one in a language that is not known to be readable.
std::string_view block_of(const PgQuery__DoStmt& block) {
  std::string_view source;
  for (const Node* item : MOSAIC_NODES(block, args)) {
    const auto* option = as_option(item);
    if (option == nullptr) continue;
    if (std::string_view(option->defname) == "as") source = string_of(option->arg);
    if (std::string_view(option->defname) == "language" && string_of(option->arg) != "plpgsql") return {};
  }
  return source;
}

void note_traces(const Node* statement, StatementSource& source, StatementPart& part) {
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
    case PG_QUERY__NODE__NODE_NOTIFY_STMT:
    case PG_QUERY__NODE__NODE_LOCK_STMT:
    case PG_QUERY__NODE__NODE_CALL_STMT:  // the call is among the findings
      break;
    case PG_QUERY__NODE__NODE_DO_STMT: {
      const std::string_view block = block_of(*statement->do_stmt);
      if (block.empty()) {
        part.traces.add(Trace::kUnknown);
      } else {
        source.mark_literal_read();
        part.traces.add(source.catalog().functions().traces_of_source(block));
      }
      break;
    }
    default:
      // Event triggers, an extension's script, the functions of an index or a default: rare enough not to be
      // told apart.
      part.traces.add(Trace::kUnknown);
  }
  part.may_release_pins |= part.may_leave_traces();
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

// A statement that `mosaic init` takes in a schema file (schema_statements.cpp).
bool is_for_schema_file(const Node* statement) {
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT:
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
    case PG_QUERY__NODE__NODE_CREATE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT:
    case PG_QUERY__NODE__NODE_GRANT_STMT:
    case PG_QUERY__NODE__NODE_RULE_STMT:
      return true;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
      return !statement->index_stmt->concurrent;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
      return statement->rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    case PG_QUERY__NODE__NODE_DROP_STMT:
      return statement->drop_stmt->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER ||
             statement->drop_stmt->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY;
    default:
      return false;
  }
}

Error sharded_definition(const Node* statement, std::string_view table) {
  return {
      sqlstate::kManyNodes,
      fmt::format("\"{}\" is sharded: its definition must change on every shard, not through one connection",
                  table),
      "",
      is_for_schema_file(statement) ? "Add the statement to the schema file, behind what is there, and run: "
                                      "mosaic init CONFIG --schema FILE."
                                    : fmt::format("Connect to the nodes themselves, and run it for the "
                                                  "\"{}\" of each shard's schema; SHOW SHARDS "
                                                  "on the console tells where they are.",
                                                  table)};
}

Error temporary_namesake(std::string_view table) {
  return {sqlstate::kFeatureNotSupported,
          fmt::format("a temporary table can not have the name of the sharded table \"{}\"", table),
          "Mosaic puts a shard's schema before that name, and would not find the temporary table.",
          "Give it another name."};
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

  if (!is_maintenance(statement)) {
    for (const PgQuery__RangeVar* name : names) {
      if (!is_sharded(source, name->schemaname, name->relname)) continue;
      const bool is_temporary = name == created && makes_temporary(statement, created);
      findings.refuse(is_temporary ? temporary_namesake(name->relname)
                                   : sharded_definition(statement, name->relname));
    }
  }
  const std::vector<ListedName> listed = listed_names(statement);
  for (const auto& [schema, name] : listed) {
    if (is_sharded(source, schema, name)) findings.refuse(sharded_definition(statement, name));
  }
  if (part.refusal) {
    part.placement = Placement::kAllNodes;
    return;
  }
  for (const PgQuery__RangeVar* name : names) {
    findings.add_table(*name, reads_names(statement) && name != created ? Access::kRead : Access::kWrite);
  }
  for (const auto& [schema, name] : listed) {
    if (name.empty()) continue;
    PgQuery__RangeVar table = PG_QUERY__RANGE_VAR__INIT;
    std::string schema_text(schema), name_text(name);
    table.schemaname = schema_text.data();
    table.relname = name_text.data();
    findings.add_table(table, Access::kWrite);
  }
  if (statement->node_case == PG_QUERY__NODE__NODE_LOCK_STMT) findings.add_lock();
  if (statement->node_case == PG_QUERY__NODE__NODE_CALL_STMT) {
    Scope scope(nullptr, nullptr);
    QueryAnalysis(findings, *root).visit(*root, scope);
  }
  findings.finish();
  part.is_free = false;
  note_traces(statement, source, part);
  if (part.placement == Placement::kAnywhere) {
    part.placement = Placement::kDefault;
    part.follows_hint = statement->node_case == PG_QUERY__NODE__NODE_DO_STMT ||
                        statement->node_case == PG_QUERY__NODE__NODE_NOTIFY_STMT ||
                        statement->node_case == PG_QUERY__NODE__NODE_CALL_STMT;
  }
  if (makes_temporary(statement, created)) {
    part.kind = StatementKind::kSessionState;
    part.follows_hint = part.placement == Placement::kDefault;
    part.pins.add(Pin::kTemporary);
  }
}

}  // namespace mosaic::routing
