#pragma once
// libpg_query's parse tree with an owner, and the few ways the analysis looks at it. No other file calls
// pg_query_*. The tree's strings and nodes live as long as the ParseTree.

#include <pg_query/pg_query.pb-c.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace mosaic::routing {

using Node = PgQuery__Node;

// Why a text is not SQL.
struct ParseFailure {
  std::string message;    // libpg_query's, which is PostgreSQL's; empty: it is SQL
  uint32_t position = 0;  // in characters, from 1; 0: none in particular
};

// Of the PostgreSQL whose grammar it is: "15.1".
std::string_view parser_version();

class ParseTree {
 public:
  // Nothing when PostgreSQL's grammar rejects the text. Recurses over the tree: check estimate_nesting()
  // first.
  static std::optional<ParseTree> parse(std::string_view text);
  // Of a text that parse() does not take.
  static ParseFailure find_failure(std::string_view text);

  ParseTree(ParseTree&&) noexcept;
  ParseTree& operator=(ParseTree&&) noexcept;
  ~ParseTree();
  const PgQuery__ParseResult& root() const { return *root_; }

 private:
  class Arena;
  explicit ParseTree(std::unique_ptr<Arena> arena, const PgQuery__ParseResult* root);
  std::unique_ptr<Arena> arena_;  // holds all nodes
  const PgQuery__ParseResult* root_;
};

// The message inside a Node, whatever its type; null for an empty one.
const ProtobufCMessage* message_of(const Node* node);

// A repeated field as a range: for (const Node* item : nodes(select.n_target_list, select.target_list)).
class NodeList {
 public:
  NodeList(size_t count, Node* const* first) : first_(first), count_(count) {}
  Node* const* begin() const { return first_; }
  Node* const* end() const { return first_ + count_; }
  size_t size() const { return count_; }
  bool is_empty() const { return count_ == 0; }
  const Node* operator[](size_t i) const { return first_[i]; }

 private:
  Node* const* first_;
  size_t count_;
};
#define MOSAIC_NODES(owner, field) ::mosaic::routing::NodeList((owner).n_##field, (owner).field)

// as_x(node): the node's content when it is an x, else null.
#define MOSAIC_NODE_TYPE(function, Type, field, CASE)                                                 \
  inline const PgQuery__##Type* function(const Node* node) {                                          \
    return node != nullptr && node->node_case == PG_QUERY__NODE__NODE_##CASE ? node->field : nullptr; \
  }
MOSAIC_NODE_TYPE(as_select, SelectStmt, select_stmt, SELECT_STMT)
MOSAIC_NODE_TYPE(as_insert, InsertStmt, insert_stmt, INSERT_STMT)
MOSAIC_NODE_TYPE(as_update, UpdateStmt, update_stmt, UPDATE_STMT)
MOSAIC_NODE_TYPE(as_delete, DeleteStmt, delete_stmt, DELETE_STMT)
MOSAIC_NODE_TYPE(as_merge, MergeStmt, merge_stmt, MERGE_STMT)
MOSAIC_NODE_TYPE(as_column_ref, ColumnRef, column_ref, COLUMN_REF)
MOSAIC_NODE_TYPE(as_constant, AConst, a_const, A_CONST)
MOSAIC_NODE_TYPE(as_parameter, ParamRef, param_ref, PARAM_REF)
MOSAIC_NODE_TYPE(as_cast, TypeCast, type_cast, TYPE_CAST)
MOSAIC_NODE_TYPE(as_array, AArrayExpr, a_array_expr, A_ARRAY_EXPR)
MOSAIC_NODE_TYPE(as_expression, AExpr, a_expr, A_EXPR)
MOSAIC_NODE_TYPE(as_bool, BoolExpr, bool_expr, BOOL_EXPR)
MOSAIC_NODE_TYPE(as_row, RowExpr, row_expr, ROW_EXPR)
MOSAIC_NODE_TYPE(as_sublink, SubLink, sub_link, SUB_LINK)
MOSAIC_NODE_TYPE(as_list, List, list, LIST)
MOSAIC_NODE_TYPE(as_function, FuncCall, func_call, FUNC_CALL)
MOSAIC_NODE_TYPE(as_target, ResTarget, res_target, RES_TARGET)
MOSAIC_NODE_TYPE(as_range_var, RangeVar, range_var, RANGE_VAR)
MOSAIC_NODE_TYPE(as_range_subselect, RangeSubselect, range_subselect, RANGE_SUBSELECT)
MOSAIC_NODE_TYPE(as_range_function, RangeFunction, range_function, RANGE_FUNCTION)
MOSAIC_NODE_TYPE(as_range_sample, RangeTableSample, range_table_sample, RANGE_TABLE_SAMPLE)
MOSAIC_NODE_TYPE(as_range_table_function, RangeTableFunc, range_table_func, RANGE_TABLE_FUNC)
MOSAIC_NODE_TYPE(as_join, JoinExpr, join_expr, JOIN_EXPR)
MOSAIC_NODE_TYPE(as_cte, CommonTableExpr, common_table_expr, COMMON_TABLE_EXPR)
MOSAIC_NODE_TYPE(as_option, DefElem, def_elem, DEF_ELEM)
MOSAIC_NODE_TYPE(as_multi_assign, MultiAssignRef, multi_assign_ref, MULTI_ASSIGN_REF)
#undef MOSAIC_NODE_TYPE

// The text of a String node; empty for anything else.
std::string_view string_of(const Node* node);
// An operator's name is "=" or OPERATOR(pg_catalog.=).
bool is_equals(NodeList name);

// Calls `each(const ProtobufCMessage&)` for every direct child message. Lists are looked through.
template <typename Each>
void for_each_child(const ProtobufCMessage& message, Each&& each) {
  // The tree repeats what SET (a, b) = (1, 2) assigns for each column: it is a child of the first alone.
  if (message.descriptor == &pg_query__multi_assign_ref__descriptor &&
      reinterpret_cast<const PgQuery__MultiAssignRef&>(message).colno > 1) {
    return;
  }
  const ProtobufCMessageDescriptor& type = *message.descriptor;
  const char* base = reinterpret_cast<const char*>(&message);
  for (unsigned i = 0; i < type.n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = type.fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const size_t count = *reinterpret_cast<const size_t*>(base + field.quantifier_offset);
      const auto* items = *reinterpret_cast<ProtobufCMessage* const* const*>(base + field.offset);
      for (size_t k = 0; k < count; ++k) each(*items[k]);
      continue;
    }
    if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *reinterpret_cast<const uint32_t*>(base + field.quantifier_offset) != field.id) {
      continue;
    }
    const auto* child = *reinterpret_cast<ProtobufCMessage* const*>(base + field.offset);
    if (child != nullptr) each(*child);
  }
}

}  // namespace mosaic::routing
