#include "routing/postgres/sql/bindable_literals.h"

#include <algorithm>

namespace mosaic::routing {

namespace {

class Finder {
 public:
  explicit Finder(const StatementSource& source) : source_(source) {}

  void visit(const ProtobufCMessage& message) {
    if (message.descriptor == &pg_query__a__expr__descriptor) {
      visit_comparison(reinterpret_cast<const PgQuery__AExpr&>(message));
    } else if (message.descriptor == &pg_query__insert_stmt__descriptor) {
      visit_row(reinterpret_cast<const PgQuery__InsertStmt&>(message));
    } else if (message.descriptor == &pg_query__update_stmt__descriptor) {
      visit_assignments(MOSAIC_NODES(reinterpret_cast<const PgQuery__UpdateStmt&>(message), target_list));
    } else if (message.descriptor == &pg_query__on_conflict_clause__descriptor) {
      const auto& conflict = reinterpret_cast<const PgQuery__OnConflictClause&>(message);
      visit_assignments(MOSAIC_NODES(conflict, target_list));
    }
    for_each_child(message, [this](const ProtobufCMessage& child) { visit(child); });
  }

  std::vector<uint32_t> take() {
    std::sort(tokens_.begin(), tokens_.end());
    return std::move(tokens_);
  }

 private:
  void visit_comparison(const PgQuery__AExpr& expression) {
    if (expression.kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || !is_equals(MOSAIC_NODES(expression, name)))
      return;
    if (as_column_ref(expression.lexpr) != nullptr) offer(expression.rexpr, false);
    if (as_column_ref(expression.rexpr) != nullptr) offer(expression.lexpr, false);
  }

  void visit_row(const PgQuery__InsertStmt& insert) {
    const auto* values = as_select(insert.select_stmt);
    if (values == nullptr || values->n_values_lists != 1) return;
    // With these it is a query of its own, whose columns have types before they are assigned.
    if (values->n_sort_clause > 0 || values->limit_count != nullptr || values->limit_offset != nullptr ||
        values->with_clause != nullptr)
      return;
    const auto* row = as_list(values->values_lists[0]);
    if (row == nullptr) return;
    for (const Node* value : MOSAIC_NODES(*row, items)) offer(value, true);
  }

  void visit_assignments(NodeList targets) {
    for (const Node* item : targets) {
      const auto* target = as_target(item);
      if (target != nullptr) offer(target->val, true);
    }
  }

  // A negative number begins at its sign, which is no literal.
  void offer(const Node* value, bool is_assigned) {
    const auto* constant = as_constant(value);
    if (constant == nullptr) return;
    const int token = source_.find_token(constant->location);
    if (token < 0) return;
    const TokenKind kind = source_.tokens()[static_cast<size_t>(token)].kind;
    const bool is_bindable = kind == TokenKind::kInteger ||
                             (is_assigned && (kind == TokenKind::kNumber || kind == TokenKind::kString));
    if (is_bindable) tokens_.push_back(static_cast<uint32_t>(token));
  }

  const StatementSource& source_;
  std::vector<uint32_t> tokens_;
};

}  // namespace

std::vector<uint32_t> find_bindable_literals(const Node* query, const StatementSource& source) {
  Finder finder(source);
  if (const ProtobufCMessage* root = message_of(query)) finder.visit(*root);
  return finder.take();
}

}  // namespace mosaic::routing
