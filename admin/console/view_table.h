#pragma once
// What a console command answers with: named columns and rows of text. A plain value, sorted and filtered
// before it is put on the wire.

#include <fmt/format.h>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mosaic::admin {

struct ViewColumn {
  std::string_view name;   // a literal
  bool is_number = false;  // int8 on the wire
};

using ViewCell = std::optional<std::string>;  // nothing is NULL
using ViewRow = std::vector<ViewCell>;

struct ViewTable {
  std::vector<ViewColumn> columns;
  std::vector<ViewRow> rows;

  int find_column(std::string_view name) const;  // -1 when there is none; ignores case
};

// Cells of a row: numbers, booleans (0 and 1) and texts as they come.
inline ViewCell cell(std::string_view text) { return std::string(text); }
inline ViewCell cell(const char* text) { return std::string(text); }
inline ViewCell cell(const std::string& text) { return text; }
inline ViewCell cell(std::nullopt_t) { return std::nullopt; }
inline ViewCell cell(const ViewCell& made) { return made; }
template <std::integral Number>
ViewCell cell(Number number) {
  return fmt::format("{}", static_cast<int64_t>(number));
}

// Of Unix microseconds, as PgBouncer writes it; 0: NULL.
ViewCell time_cell(uint64_t unix_us);

template <typename... Values>
ViewRow row(const Values&... values) {
  return ViewRow{cell(values)...};
}

// Declares columns: a trailing # marks a number, as in columns({"name", "port#"}).
std::vector<ViewColumn> columns(std::initializer_list<std::string_view> names);

}  // namespace mosaic::admin
