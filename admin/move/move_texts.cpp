#include "admin/move/move_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace mosaic::admin {

std::string size_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(uint64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", (seconds + 30) / 60);
  return fmt::format("{:.1f} h", static_cast<double>(seconds) / 3600);
}

void say_some(const std::vector<std::string>& lines, const Say& say) {
  constexpr size_t kLinesMax = 20;
  for (size_t i = 0; i < std::min(lines.size(), kLinesMax); ++i) say(lines[i]);
  if (lines.size() > kLinesMax) say(fmt::format("... and {} more", lines.size() - kLinesMax));
}

std::string progress_line(const MoveRow& row) {
  std::string line = fmt::format("move {}: {}", row.id, to_text(row.state));
  const MoveProgress& progress = row.progress;
  if (row.state == MoveState::kCopying) {
    line += fmt::format(", {} rows, {} of about {}, {}/s", progress.rows, size_text(progress.bytes),
                        size_text(progress.bytes_total), size_text(progress.rate_bytes));
    if (progress.rate_bytes > 0 && progress.bytes < progress.bytes_total)
      line += fmt::format(", {} left",
                          duration_text((progress.bytes_total - progress.bytes) / progress.rate_bytes));
  }
  if (row.state == MoveState::kCutover) line += fmt::format(", attempt {}", progress.attempts);
  if (is_switched(row.state) && progress.write_pause_us > 0)
    line += fmt::format(", writes paused for {:.1f} ms", static_cast<double>(progress.write_pause_us) / 1000);
  if (!row.message.empty()) line += ": " + row.message;
  if (!progress.blockers.empty()) line += fmt::format(" ({})", progress.blockers);
  return line;
}

}  // namespace mosaic::admin
