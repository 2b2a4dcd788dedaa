#pragma once
// The value of a string literal as written in a statement.

#include <optional>
#include <string>
#include <string_view>

#include "routing/postgres/sql/reading.h"

namespace mosaic::routing {

// `token`: '...', E'...' or $tag$...$tag$, continuation lines included. The view points into `token`, or into
// `scratch` where quotes or escapes had to be resolved. Nothing for U&'...' (its escape character stands
// outside of the token) and for invalid escapes.
std::optional<std::string_view> read_string_literal(std::string_view token, Reading reading,
                                                    std::string& scratch);

}  // namespace mosaic::routing
