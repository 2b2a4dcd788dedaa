#include "routing/postgres/search_path.h"

#include "routing/postgres/sql/keyword.h"

namespace mosaic::routing {

namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The element at the front of `list`, which is cut off with the comma behind it.
std::string take_element(std::string_view& list) {
  while (!list.empty() && is_blank(list.front())) list.remove_prefix(1);
  std::string element;
  if (!list.empty() && (list.front() == '"' || list.front() == '\'')) {
    const char quote = list.front();
    list.remove_prefix(1);
    while (!list.empty()) {
      const char c = list.front();
      list.remove_prefix(1);
      if (c == quote) {
        if (list.empty() || list.front() != quote) break;
        list.remove_prefix(1);
      }
      element += c;
    }
    const size_t comma = list.find(',');
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    return element;
  }
  const size_t comma = list.find(',');
  std::string_view word = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  while (!word.empty() && is_blank(word.back())) word.remove_suffix(1);
  return to_lower(word);
}

}  // namespace

std::vector<std::string> split_search_path(std::string_view search_path, std::string_view role) {
  std::vector<std::string> schemas;
  while (!search_path.empty()) {
    std::string element = take_element(search_path);
    schemas.push_back(element == "$user" ? std::string(role) : std::move(element));
  }
  return schemas;
}

}  // namespace mosaic::routing
