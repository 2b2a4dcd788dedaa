#pragma once
// What a condition says about shard keys: terms ("the key of this use is one of these values") and edges
// ("rows of this use matter only on the shard of that one"). Reads the conjuncts of a WHERE or ON; what it
// does not understand binds nothing, so that a statement is refused rather than misrouted.

#include <unordered_map>
#include <vector>

#include "routing/postgres/sql/part_findings.h"
#include "routing/postgres/sql/scope.h"

namespace mosaic::routing {

// The output of each subquery in an expression, by its node.
using SublinkOutputs = std::unordered_map<const PgQuery__SubLink*, Output>;

class ConditionBinder {
 public:
  // `visible`: the relations that names in the condition can mean. `restrictable`: those whose rows the
  // condition filters; the others are preserved whatever it says (the outer side of an outer join).
  ConditionBinder(PartFindings& findings, const Scope& scope, const SublinkOutputs& sublinks,
                  RelationRange visible, RelationRange restrictable)
      : findings_(findings),
        scope_(scope),
        sublinks_(sublinks),
        visible_(visible),
        restrictable_(restrictable) {}

  // Adds what follows from `condition` being true to the findings.
  void bind(const Node* condition);
  // The same for two columns that a join equates (USING, NATURAL).
  void bind_equal_columns(const Resolved& left, const Resolved& right);

 private:
  struct BoundTerm {
    int use;
    KeyTerm term;
  };
  std::vector<BoundTerm> find_terms(const Node* condition) const;
  std::vector<BoundTerm> find_disjunction_terms(const PgQuery__BoolExpr& disjunction) const;
  void add_equal_terms(const Node* left, const Node* right, std::vector<BoundTerm>& terms) const;
  void add_list_terms(const Node* left, NodeList items, std::vector<BoundTerm>& terms) const;
  void add_array_terms(const Node* left, const Node* array, std::vector<BoundTerm>& terms) const;

  void bind_edges(const Node* condition);
  void bind_equal_edges(const Node* left, const Node* right);
  void bind_sublink_edges(const PgQuery__SubLink& sublink);

  Resolved resolve(const Node* expression) const;
  bool can_restrict(const Resolved& resolved, const KeyColumn& column) const {
    return column.is_restrictable && restrictable_.contains(resolved.relation);
  }
  KeyType type_of(const KeyColumn& column) const {
    return column.is_id ? KeyType::kInt8 : findings_.table_of(column.use).key_type;
  }

  PartFindings& findings_;
  const Scope& scope_;
  const SublinkOutputs& sublinks_;
  RelationRange visible_;
  RelationRange restrictable_;
};

}  // namespace mosaic::routing
