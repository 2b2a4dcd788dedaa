#pragma once
// A histogram that one thread fills and another empties from time to time: what was measured lately.

#include <mutex>
#include <utility>

#include "bench/workload/latency_histogram.h"

namespace mosaic::workload {

class SharedHistogram {
 public:
  void record(uint64_t nanoseconds) {
    const std::lock_guard lock(mutex_);
    histogram_.record(nanoseconds);
  }
  // What was recorded since the last call.
  LatencyHistogram take() {
    LatencyHistogram empty;
    const std::lock_guard lock(mutex_);
    return std::exchange(histogram_, std::move(empty));
  }

 private:
  std::mutex mutex_;
  LatencyHistogram histogram_;
};

}  // namespace mosaic::workload
