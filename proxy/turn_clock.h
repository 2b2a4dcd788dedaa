#pragma once
// The time of the turn of the event loop: the clock is read at most once a turn, however many statements
// begin and end in it. One thread.

#include <cstdint>

namespace mosaic::proxy {

class TurnClock {
 public:
  // `read_us`: monotonic microseconds; none: time stands still at 0.
  explicit TurnClock(uint64_t (*read_us)() = nullptr) : read_us_(read_us) {}

  uint64_t now_us() {
    if (now_us_ == 0 && read_us_ != nullptr) now_us_ = read_us_();
    return now_us_;
  }
  void end_turn() { now_us_ = 0; }

 private:
  uint64_t (*read_us_)();
  uint64_t now_us_ = 0;  // 0: not read in this turn
};

}  // namespace mosaic::proxy
