#pragma once
// Compares a word of a statement with a keyword, as PostgreSQL does: ASCII case does not matter.

#include <string>
#include <string_view>

namespace mosaic::routing {

// `keyword` must be lower case.
inline bool is_keyword(std::string_view word, std::string_view keyword) {
  if (word.size() != keyword.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i] >= 'A' && word[i] <= 'Z' ? static_cast<char>(word[i] + 32) : word[i];
    if (c != keyword[i]) return false;
  }
  return true;
}

inline std::string to_lower(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

}  // namespace mosaic::routing
