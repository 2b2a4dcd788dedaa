#include "admin/config/config_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace mosaic::admin {

std::vector<ConfigError> ConfigErrors::sorted() const {
  std::vector<ConfigError> errors = errors_;
  std::stable_sort(errors.begin(), errors.end(), [](const ConfigError& left, const ConfigError& right) {
    return std::tie(left.at.line, left.at.column) < std::tie(right.at.line, right.at.column);
  });
  return errors;
}

std::string ConfigErrors::to_text(const std::string& path) const {
  std::string text;
  for (const ConfigError& error : sorted()) {
    if (!text.empty()) text += '\n';
    text += error.at.line == 0
                ? fmt::format("{}: {}", path, error.message)
                : fmt::format("{}:{}:{}: {}", path, error.at.line, error.at.column, error.message);
  }
  return text;
}

}  // namespace mosaic::admin
