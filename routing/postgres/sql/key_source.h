#pragma once
// From an expression to the place in the statement where its value stands: literals, parameters, casts of
// them that keep the value, and lists of these. Everything else has a value that only the server can tell.

#include <optional>
#include <vector>

#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/statement_source.h"
#include "routing/shard_function.h"

namespace mosaic::routing {

// One value. NULL counts as a literal.
std::optional<KeySource> find_key_source(const StatementSource& source, const Node* value, KeyType type);

// All of `values`; nothing when one of them is not to be found.
std::optional<std::vector<KeySource>> find_key_sources(const StatementSource& source, NodeList values,
                                                       KeyType type);

// The elements of an array expression: '{1,2}', $1, ARRAY[1, 2], with or without a cast.
std::optional<std::vector<KeySource>> find_array_sources(const StatementSource& source, const Node* array,
                                                         KeyType type);

bool is_null_literal(const Node* value);

}  // namespace mosaic::routing
