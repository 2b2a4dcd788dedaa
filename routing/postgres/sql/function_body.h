#pragma once
// Looks through the source of a function (LANGUAGE sql or plpgsql), a DO block, a view or an expression for
// what it may leave behind in the session. Knows words, not grammar: in doubt a word means the worse.

#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/sql/traces.h"

namespace mosaic::routing {

struct FunctionBody {
  Traces own;                      // by statements and calls of PostgreSQL's own functions
  std::vector<std::string> calls;  // names before a parenthesis that are neither keywords nor known functions
  std::vector<std::string>
      words;  // all other names: one may be a relation, or a function that is called as a.b
};

// Also for texts that are no SQL at all: then `own` has kUnknown.
FunctionBody read_function_body(std::string_view source);

}  // namespace mosaic::routing
