#include "routing/postgres/sql/setting_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

#include "routing/postgres/client_encoding.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

bool has_value_rule(std::string_view setting) { return setting == "client_encoding"; }

std::optional<Error> find_value_error(std::string_view setting, std::string_view value) {
  if (!has_value_rule(setting) || is_safe(find_client_encoding(value))) return std::nullopt;
  return Error{sqlstate::kFeatureNotSupported,
               fmt::format("client_encoding {} is not supported", value.substr(0, 64)),
               "Its characters may contain bytes that mean something else in SQL.", "Use UTF8."};
}

bool is_reading_setting(std::string_view setting) {
  return setting == "standard_conforming_strings" || setting == "client_encoding";
}

bool is_transaction_setting(std::string_view setting) {
  return setting == "transaction_isolation" || setting == "transaction_read_only" ||
         setting == "transaction_deferrable";
}

std::optional<bool> find_boolean(std::string_view value) {
  constexpr std::array<std::pair<std::string_view, bool>, 8> kWords{{{"true", true},
                                                                     {"false", false},
                                                                     {"yes", true},
                                                                     {"no", false},
                                                                     {"on", true},
                                                                     {"off", false},
                                                                     {"1", true},
                                                                     {"0", false}}};
  std::string word(value);
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  if (word.empty() || word == "o") return std::nullopt;
  for (const auto& [name, is_true] : kWords) {
    if (name.starts_with(word)) return is_true;
  }
  return std::nullopt;
}

}  // namespace mosaic::routing
