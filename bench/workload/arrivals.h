#pragma once
// When operations are due in an open loop: an endless sequence of points in time that does not depend on how
// long anything takes. A value: a copy goes through the same points again.

#include <cstdint>
#include <random>
#include <string_view>

#include "bench/workload/zipf.h"

namespace mosaic::workload {

using Nanoseconds = uint64_t;  // of the monotonic clock

enum class ArrivalPattern : uint8_t {
  kPoisson,  // as many independent users arrive: bursts and lulls
  kFixed,    // equal distances
};
std::string_view to_text(ArrivalPattern pattern);

class Arrivals {
 public:
  // `per_second` > 0. `offset`, 0 to 1: where in its first period a fixed sequence begins, so that several
  // threads' do not coincide.
  Arrivals(ArrivalPattern pattern, double per_second, Nanoseconds begin, double offset, uint64_t seed);

  Nanoseconds next() const { return begin_ + static_cast<Nanoseconds>(since_begin_); }
  void advance();

 private:
  ArrivalPattern pattern_;
  double period_ns_;
  Nanoseconds begin_;
  double offset_;
  uint64_t index_ = 0;
  double since_begin_ = 0;  // nanoseconds; a double holds them exactly for a hundred days
  Random random_;
};

}  // namespace mosaic::workload
