#pragma once
// The schemas in which PostgreSQL looks for a name without one, from the setting search_path (PostgreSQL
// manual, Schemas; src/backend/catalog/namespace.c).

#include <string>
#include <string_view>
#include <vector>

namespace mosaic::routing {

// What decides which relation a name means. Looked at only where a table is shadowed (Table::is_shadowed()).
struct NameScope {
  std::string_view
      search_path;        // the setting's value, or what stands behind SET search_path =; empty: not set
  std::string_view role;  // "$user" in it
};

// The schemas that a search_path lists, in order: words in lower case unless quoted, '...' verbatim, "$user"
// replaced.
std::vector<std::string> split_search_path(std::string_view search_path, std::string_view role);

}  // namespace mosaic::routing
