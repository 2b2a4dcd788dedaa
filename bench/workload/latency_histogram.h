#pragma once
// Latencies in a log-linear histogram, after G. Tene's HdrHistogram (hdrhistogram.org): each power of two is
// cut into equal buckets, so that any value from a nanosecond to centuries is told with at most 1/128
// relative error in constant memory. Knows nothing of what was measured. One thread records; others may merge
// it once that thread has stopped.

#include <cstdint>
#include <utility>
#include <vector>

namespace mosaic::workload {

class LatencyHistogram {
 public:
  LatencyHistogram();

  void record(uint64_t nanoseconds);
  void merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  uint64_t max_ns() const { return max_ns_; }
  double mean_ns() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(count_);
  }
  // The value that `percent` of all values do not exceed, rounded up to its bucket's end; 0 when empty.
  uint64_t percentile_ns(double percent) const;
  // (the bucket's highest value in ns, how many values) of each bucket that holds any, ascending.
  std::vector<std::pair<uint64_t, uint64_t>> filled_buckets() const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t sum_ns_ = 0;
  uint64_t max_ns_ = 0;
};

}  // namespace mosaic::workload
