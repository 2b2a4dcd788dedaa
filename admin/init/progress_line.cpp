#include "admin/init/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

namespace mosaic::admin {

namespace {

constexpr uint64_t kBarWidth = 30;
constexpr std::chrono::seconds kPlainInterval{5};

}  // namespace

std::string progress_text(uint64_t done, uint64_t total, const std::string& unit, std::chrono::milliseconds elapsed) {
  const uint64_t filled = total == 0 ? kBarWidth : done * kBarWidth / total;
  const double seconds = static_cast<double>(elapsed.count()) / 1000;
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string text = fmt::format("  [{}{}] {}/{} {}", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), done, total, unit);
  if (done > 0) text += fmt::format("  {:.1f}/s", rate);
  if (done > 0 && done < total) text += fmt::format("  {:.0f} s left", static_cast<double>(total - done) / rate);
  if (done == total) text += fmt::format("  in {:.1f} s", seconds);
  return text;
}

ProgressLine::ProgressLine(std::FILE* out, uint64_t total, std::string unit)
    : out_(out), is_terminal_(isatty(fileno(out)) == 1), total_(total), unit_(std::move(unit)),
      started_(std::chrono::steady_clock::now()), printed_(started_) {}

void ProgressLine::draw() {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ && now - printed_ < kPlainInterval) return;
  printed_ = now;
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
  const std::string text = progress_text(done_.load(), total_, unit_, elapsed);
  // "\x1b[K" erases what a longer line before it left behind.
  std::fputs(is_terminal_ ? ("\r" + text + "\x1b[K").c_str() : (text + "\n").c_str(), out_);
  std::fflush(out_);
}

void ProgressLine::finish() {
  printed_ = {};
  draw();
  if (is_terminal_) std::fputs("\n", out_);
}

}  // namespace mosaic::admin
