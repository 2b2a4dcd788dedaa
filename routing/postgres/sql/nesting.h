#pragma once
// A bound on how deep a statement's parse tree can be, from its tokens alone. libpg_query and protobuf-c
// recurse over the tree without a limit of their own, so that text like `1+1+1+...` could end the process;
// what is deeper than the limit is never given to them.

#include <span>
#include <string_view>

#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

inline constexpr uint32_t kNestingMax = 1000;

// An upper bound for the depth of the parse tree, in grammar levels; what is above kNestingMax is not counted
// to its end. Time and memory: that of the tokens, whatever they are.
uint32_t estimate_nesting(std::string_view text, std::span<const Token> tokens);

}  // namespace mosaic::routing
