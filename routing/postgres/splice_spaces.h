#pragma once
// A quoted name may touch the words beside it, as in `FROM"media"m`. Its replacement begins and ends with a
// word, which must not run into them.

#include <cstddef>
#include <string_view>

#include "routing/postgres/sql/word_copy.h"

namespace mosaic::routing {

struct SpliceSpaces {
  size_t before = 0, after = 0;  // how many to write: 0 or 1
};

// Around what replaces [begin, end) of `text`.
inline SpliceSpaces spaces_around(std::string_view text, size_t begin, size_t end) {
  return {begin > 0 && is_word_part(text[begin - 1]) ? size_t{1} : 0,
          end < text.size() && is_word_part(text[end]) ? size_t{1} : 0};
}

}  // namespace mosaic::routing
