#pragma once
// Looks a word up in a constant list of words.

#include <algorithm>
#include <iterator>
#include <string_view>

namespace mosaic::routing {

// `sorted`: an array of std::string_view in ascending order.
bool is_one_of(const auto& sorted, std::string_view word) {
  return std::binary_search(std::begin(sorted), std::end(sorted), word);
}

}  // namespace mosaic::routing
