#include "proxy/postgres/session/parse_contexts.h"

#include <algorithm>
#include <array>

namespace mosaic::proxy {

bool affects_parsing(std::string_view setting) {
  // As PostgreSQL 15's input functions and grammar read them; names as ClientSettings keeps them.
  constexpr std::array<std::string_view, 13> kNames = {"array_nulls",
                                                       "backslash_quote",
                                                       "client_encoding",
                                                       "datestyle",
                                                       "default_text_search_config",
                                                       "intervalstyle",
                                                       "lc_monetary",
                                                       "lc_numeric",
                                                       "standard_conforming_strings",
                                                       "timezone",
                                                       "timezone_abbreviations",
                                                       "transform_null_equals",
                                                       "xmloption"};
  return std::find(kNames.begin(), kNames.end(), setting) != kNames.end();
}

uint32_t ParseContexts::id_of(const pool::NameValues& settings) {
  key_.clear();
  for (const auto& [name, value] : settings.entries()) {
    if (affects_parsing(name)) key_.append(name).append(1, '\0').append(value).append(1, '\0');
  }
  if (key_.empty()) return 0;
  const auto found = ids_.find(key_);
  if (found != ids_.end()) return found->second;
  if (ids_.size() >= kEntriesMax) ids_.clear();
  const uint32_t id = next_id_;
  next_id_ += id_step_;
  ids_.emplace(key_, id);
  return id;
}

}  // namespace mosaic::proxy
