#include "routing/postgres/sql/condition_binder.h"

#include <algorithm>

#include "routing/postgres/sql/key_source.h"

namespace mosaic::routing {

namespace {

NodeList list_items(const Node* node) {
  const auto* list = as_list(node);
  return list == nullptr ? NodeList(0, nullptr) : MOSAIC_NODES(*list, items);
}

}  // namespace

Resolved ConditionBinder::resolve(const Node* expression) const {
  if (const auto* column = as_column_ref(expression)) return scope_.resolve(*column, visible_);
  return {};
}

void ConditionBinder::bind(const Node* condition) {
  for (BoundTerm& bound : find_terms(condition)) findings_.add_term(bound.use, std::move(bound.term));
  bind_edges(condition);
}

std::vector<ConditionBinder::BoundTerm> ConditionBinder::find_terms(const Node* condition) const {
  std::vector<BoundTerm> terms;
  if (const auto* logic = as_bool(condition)) {
    if (logic->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR) return find_disjunction_terms(*logic);
    if (logic->boolop != PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) return terms;
    for (const Node* conjunct : MOSAIC_NODES(*logic, args)) {
      for (BoundTerm& bound : find_terms(conjunct)) terms.push_back(std::move(bound));
    }
    return terms;
  }
  const auto* expression = as_expression(condition);
  if (expression == nullptr || !is_equals(MOSAIC_NODES(*expression, name))) return terms;
  switch (expression->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
      add_equal_terms(expression->lexpr, expression->rexpr, terms);
      add_equal_terms(expression->rexpr, expression->lexpr, terms);
      break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
      add_list_terms(expression->lexpr, list_items(expression->rexpr), terms);
      break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
      add_array_terms(expression->lexpr, expression->rexpr, terms);
      break;
    default:
      break;
  }
  return terms;
}

// a OR b: what both arms say about one column holds with the values of both.
std::vector<ConditionBinder::BoundTerm> ConditionBinder::find_disjunction_terms(
    const PgQuery__BoolExpr& disjunction) const {
  std::vector<BoundTerm> common;
  bool is_first = true;
  for (const Node* arm : MOSAIC_NODES(disjunction, args)) {
    const std::vector<BoundTerm> terms = find_terms(arm);
    if (is_first) {
      common = terms;
      is_first = false;
      continue;
    }
    std::erase_if(common, [&](BoundTerm& bound) {
      const auto same = std::find_if(terms.begin(), terms.end(), [&](const BoundTerm& other) {
        return other.use == bound.use && other.term.is_id == bound.term.is_id;
      });
      if (same == terms.end()) return true;
      for (const KeySource& source : same->term.any_of) {
        if (std::find(bound.term.any_of.begin(), bound.term.any_of.end(), source) ==
            bound.term.any_of.end()) {
          bound.term.any_of.push_back(source);
        }
      }
      return false;
    });
  }
  return common;
}

void ConditionBinder::add_equal_terms(const Node* left, const Node* right,
                                      std::vector<BoundTerm>& terms) const {
  const auto* left_row = as_row(left);
  const auto* right_row = as_row(right);
  if (left_row != nullptr && right_row != nullptr && left_row->n_args == right_row->n_args) {
    for (size_t i = 0; i < left_row->n_args; ++i)
      add_equal_terms(left_row->args[i], right_row->args[i], terms);
    return;
  }
  const Resolved column = resolve(left);
  if (column.binding.columns.empty()) return;
  const Resolved other = resolve(right);
  for (const KeyColumn& key : column.binding.columns) {
    if (!can_restrict(column, key)) continue;
    KeyTerm term;
    term.is_id = key.is_id;
    term.key_type = type_of(key);
    if (const auto source = find_key_source(findings_.source(), right, term.key_type)) {
      term.any_of.push_back(*source);
    } else {
      for (const Node* constant : other.binding.constants) {
        const auto value = find_key_source(findings_.source(), constant, term.key_type);
        if (!value) {
          term.any_of.clear();
          break;
        }
        term.any_of.push_back(*value);
      }
    }
    if (!term.any_of.empty()) terms.push_back({key.use, std::move(term)});
  }
}

void ConditionBinder::add_list_terms(const Node* left, NodeList items, std::vector<BoundTerm>& terms) const {
  if (items.is_empty()) return;
  if (const auto* row = as_row(left)) {
    // (user_id, id) IN ((1, 2), (3, 4)): each column is one of its position's values.
    for (size_t i = 0; i < row->n_args; ++i) {
      std::vector<Node*> position;
      for (const Node* item : items) {
        const auto* values = as_row(item);
        if (values == nullptr || values->n_args != row->n_args) return;
        position.push_back(values->args[i]);
      }
      add_list_terms(row->args[i], NodeList(position.size(), position.data()), terms);
    }
    return;
  }
  const Resolved column = resolve(left);
  for (const KeyColumn& key : column.binding.columns) {
    if (!can_restrict(column, key)) continue;
    auto sources = find_key_sources(findings_.source(), items, type_of(key));
    if (sources) terms.push_back({key.use, {key.is_id, false, type_of(key), std::move(*sources)}});
  }
}

void ConditionBinder::add_array_terms(const Node* left, const Node* array,
                                      std::vector<BoundTerm>& terms) const {
  const Resolved column = resolve(left);
  for (const KeyColumn& key : column.binding.columns) {
    if (!can_restrict(column, key)) continue;
    auto sources = find_array_sources(findings_.source(), array, type_of(key));
    if (sources && !sources->empty())
      terms.push_back({key.use, {key.is_id, false, type_of(key), std::move(*sources)}});
  }
}

void ConditionBinder::bind_edges(const Node* condition) {
  if (const auto* logic = as_bool(condition)) {
    if (logic->boolop != PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) return;
    for (const Node* conjunct : MOSAIC_NODES(*logic, args)) bind_edges(conjunct);
    return;
  }
  if (const auto* sublink = as_sublink(condition)) return bind_sublink_edges(*sublink);
  const auto* expression = as_expression(condition);
  if (expression == nullptr || expression->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
      !is_equals(MOSAIC_NODES(*expression, name))) {
    return;
  }
  bind_equal_edges(expression->lexpr, expression->rexpr);
}

void ConditionBinder::bind_equal_edges(const Node* left, const Node* right) {
  const auto* left_row = as_row(left);
  const auto* right_row = as_row(right);
  if (left_row != nullptr && right_row != nullptr) {
    for (size_t i = 0; i < std::min(left_row->n_args, right_row->n_args); ++i) {
      bind_equal_edges(left_row->args[i], right_row->args[i]);
    }
    return;
  }
  const auto resolve_side = [&](const Node* side) {
    const auto* sublink = as_sublink(side);
    if (sublink == nullptr || sublink->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK)
      return resolve(side);
    // key = (SELECT key ...): the one value comes from the subquery's row; the subquery itself must stay
    // whole.
    const auto output = sublinks_.find(sublink);
    Resolved value;
    if (output == sublinks_.end() || output->second.columns.size() != 1) return value;
    value.binding = output->second.columns.front().binding;
    return value;
  };
  bind_equal_columns(resolve_side(left), resolve_side(right));
}

void ConditionBinder::bind_equal_columns(const Resolved& left, const Resolved& right) {
  for (const KeyColumn& a : left.binding.columns) {
    for (const KeyColumn& b : right.binding.columns) {
      if (a.is_id != b.is_id || type_of(a) != type_of(b)) continue;
      if (a.is_source && can_restrict(right, b)) findings_.add_edge(a.use, b.use);
      if (b.is_source && can_restrict(left, a)) findings_.add_edge(b.use, a.use);
    }
  }
}

// key IN (SELECT key FROM ...): rows outside of the subquery's shard can not match, and of the subquery only
// those on the row's shard can.
void ConditionBinder::bind_sublink_edges(const PgQuery__SubLink& sublink) {
  if (sublink.sub_link_type != PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK) return;
  if (sublink.n_oper_name > 0 && !is_equals(MOSAIC_NODES(sublink, oper_name))) return;
  const auto output = sublinks_.find(&sublink);
  if (output == sublinks_.end() || output->second.has_unknown_positions) return;
  const auto* row = as_row(sublink.testexpr);
  const size_t count = row == nullptr ? 1 : row->n_args;
  if (output->second.columns.size() != count) return;
  for (size_t i = 0; i < count; ++i) {
    const Resolved outer = resolve(row == nullptr ? sublink.testexpr : row->args[i]);
    const Binding& inner = output->second.columns[i].binding;
    for (const KeyColumn& a : outer.binding.columns) {
      for (const KeyColumn& b : inner.columns) {
        if (a.is_id != b.is_id || type_of(a) != type_of(b)) continue;
        if (b.is_source && can_restrict(outer, a)) findings_.add_edge(b.use, a.use);
        if (a.is_source && b.is_restrictable) findings_.add_edge(a.use, b.use);
      }
    }
  }
}

}  // namespace mosaic::routing
