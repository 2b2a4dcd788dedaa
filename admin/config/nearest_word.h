#pragma once
// "Did you mean ...": the known word that is fewest edits away from a mistyped one.

#include <span>
#include <string>
#include <string_view>

namespace mosaic::admin {

// Insertions, deletions, replacements and swaps of neighbours.
size_t edit_distance(std::string_view left, std::string_view right);

// Empty when nothing is near enough to be what was meant (more than a third of the word would change).
std::string find_nearest_word(std::string_view word, std::span<const std::string> known);

}  // namespace mosaic::admin
