#pragma once
// From a text that no cached plan fits to a new plan: parse, then one analysis per statement. The only way
// into this folder's analyses; called by the Router on a cache miss.

#include <span>
#include <string>
#include <string_view>

#include "routing/catalog_snapshot.h"
#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

struct Analysis {
  StatementPlan plan;
  bool depends_on_literals = false;  // the plan holds for this very text (and search path), not for its shape
  bool is_valid = true;  // false: the grammar rejects the text; another text of this shape may be fine
};

// `tokens` are those of `text`, read to its end by `reading`.
// `schemas`: the search path; needed only where the catalog has shadowed tables.
Analysis analyze_text(std::string_view text, std::span<const Token> tokens, Reading reading,
                      const CatalogSnapshot& catalog, std::span<const std::string> schemas = {});

// The plan of a text that is no SQL: one part of kind kInvalid, so that a server says what is wrong with it.
StatementPlan invalid_plan(size_t token_count);
// The plan of a text of more than kTokensMax tokens: refused, and never parsed.
StatementPlan too_many_tokens_plan();

}  // namespace mosaic::routing
