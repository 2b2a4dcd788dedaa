#pragma once
// Which literals of a query a parameter may stand for without changing what the query means, so that servers
// can keep one plan for all of them. A number has its type from how it is written, wherever it stands; a
// string has none of its own and takes it from its place. Hence:
// - integers that a column is compared with by `=`, where an index's plan is the same for all values;
// - integers, numbers and plain strings that a row is written with: INSERT of one row, UPDATE SET, and ON
//   CONFLICT DO UPDATE SET. There the server assigns text as it assigns the literal, or refuses to parse.
// All else stays as it is written: what LIMIT, ranges, lists, expressions and casts say shapes the plan.

#include <vector>

#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/statement_source.h"

namespace mosaic::routing {

// The tokens of such literals, ascending. `query`: SELECT, INSERT, UPDATE, DELETE or MERGE, whole.
std::vector<uint32_t> find_bindable_literals(const Node* query, const StatementSource& source);

}  // namespace mosaic::routing
