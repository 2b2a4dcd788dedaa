#pragma once
// How far a long piece of work is: a bar that redraws itself on a terminal, plain lines now and then elsewhere.
// One thread draws; the count may come from many.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>

namespace mosaic::admin {

// "  [#####.....] 512/1024 shards  81.3/s  6 s left"
std::string progress_text(uint64_t done, uint64_t total, const std::string& unit, std::chrono::milliseconds elapsed);

class ProgressLine {
 public:
  ProgressLine(std::FILE* out, uint64_t total, std::string unit);
  std::atomic<uint64_t>& done() { return done_; }
  void draw();    // call a few times a second
  void finish();  // draws the last state and ends the line

 private:
  std::FILE* out_;
  const bool is_terminal_;
  const uint64_t total_;
  const std::string unit_;
  const std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point printed_;
  std::atomic<uint64_t> done_{0};
};

}  // namespace mosaic::admin
