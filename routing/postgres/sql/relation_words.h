#pragma once
// Which names of the source of a function (LANGUAGE sql or plpgsql) or a view stand where a relation stands:
// behind FROM, JOIN, INTO, UPDATE and their like. Knows words, not grammar; strings are not looked into. For
// `mosaic init` and `mosaic check`, which tell functions that name a sharded table.

#include <string>
#include <string_view>
#include <vector>

namespace mosaic::routing {

// Sorted, without duplicates: names without a schema, and those of `public`. A variable behind INTO is among
// them. Empty for a text that no lexer takes.
std::vector<std::string> find_relation_words(std::string_view source);

}  // namespace mosaic::routing
