#pragma once
// How many statements each shard had, and how long servers worked for it, in the last 10 s, minute and 10
// minutes: from what is counted since start, sampled now and then. Thread-safe.

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "proxy/report.h"

namespace mosaic::admin {

// By shard, over all workers.
struct ShardTotals {
  std::vector<uint64_t> queries, us;
};
ShardTotals sum_shards(const proxy::Report& report);

class ShardHeat {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::array<std::chrono::seconds, 3> kWindows{
      std::chrono::seconds(10), std::chrono::seconds(60), std::chrono::seconds(600)};

  // Keeps what is counted at `now` where a window is due for it (a tenth of its length after the last).
  void sample(const ShardTotals& totals, Clock::time_point now);
  // What was added in the last kWindows[window], up to a tenth of it longer; since start while that is
  // shorter.
  ShardTotals added(size_t window, const ShardTotals& totals, Clock::time_point now) const;

 private:
  struct Sample {
    Clock::time_point at;
    ShardTotals totals;
  };
  mutable std::mutex mutex_;
  std::array<std::deque<Sample>, kWindows.size()> samples_;  // oldest first; guarded by mutex_
};

}  // namespace mosaic::admin
