#include "admin/console/view_table.h"

#include <fmt/chrono.h>
#include <strings.h>

#include <ctime>

namespace mosaic::admin {

int ViewTable::find_column(std::string_view name) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string_view candidate = columns[i].name;
    if (candidate.size() == name.size() && strncasecmp(candidate.data(), name.data(), name.size()) == 0)
      return static_cast<int>(i);
  }
  return -1;
}

ViewCell time_cell(uint64_t unix_us) {
  constexpr uint64_t kMicrosecondsPerSecond = 1'000'000;
  if (unix_us == 0) return std::nullopt;
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC",
                     fmt::gmtime(static_cast<std::time_t>(unix_us / kMicrosecondsPerSecond)));
}

std::vector<ViewColumn> columns(std::initializer_list<std::string_view> names) {
  std::vector<ViewColumn> list;
  for (std::string_view name : names) {
    const bool is_number = name.ends_with('#');
    if (is_number) name.remove_suffix(1);
    list.push_back({name, is_number});
  }
  return list;
}

}  // namespace mosaic::admin
