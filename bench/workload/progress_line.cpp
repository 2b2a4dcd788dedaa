#include "bench/workload/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace mosaic::workload {

namespace {

constexpr double kPlainInterval_s = 3;
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

ProgressLine::ProgressLine() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::begin(const std::string& title) {
  title_ = title;
  next_plain_s_ = kPlainInterval_s;
  last_ = StageProgress();
}

void ProgressLine::show(const StageProgress& progress) {
  if (!is_due(progress.seconds)) return;
  const double seconds = progress.seconds - last_.seconds;
  const double rate = seconds > 0 ? static_cast<double>(progress.statements - last_.statements) / seconds : 0;
  last_ = progress;
  print(progress.seconds,
        fmt::format("{:<18} {:>5.1f} s {:>10} statements {:>8.0f}/s {:>5} errors {:>4} lost {:>4} wrong",
                    title_, progress.seconds, progress.statements, rate, progress.errors, progress.lost,
                    progress.wrong_answers));
}

void ProgressLine::print(double seconds, const std::string& line) {
  if (!is_due(seconds)) return;
  next_plain_s_ += kPlainInterval_s;
  std::fputs(is_terminal_ ? (kClearLine + line).c_str() : (line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

void ProgressLine::end() {
  if (!is_terminal_) return;
  std::fputs(kClearLine, stderr);
  std::fflush(stderr);
}

}  // namespace mosaic::workload
