#include "bench/workload/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace mosaic::workload {

namespace {

// Each power of two is cut into 2^7 equal buckets: an error of at most 1/128.
constexpr uint32_t kSubBits = 7;
constexpr uint64_t kSubBuckets = uint64_t{1} << kSubBits;

size_t bucket_of(uint64_t value) {
  if (value < kSubBuckets) return value;
  const uint32_t shift = static_cast<uint32_t>(std::bit_width(value)) - 1 - kSubBits;
  return (shift + 1) * kSubBuckets + (value >> shift) - kSubBuckets;
}

uint64_t highest_in_bucket(size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const uint64_t shift = bucket / kSubBuckets - 1;
  const uint64_t lowest = (bucket % kSubBuckets + kSubBuckets) << shift;
  return lowest + ((uint64_t{1} << shift) - 1);
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(bucket_of(UINT64_MAX) + 1) {}

void LatencyHistogram::record(uint64_t nanoseconds) {
  ++buckets_[bucket_of(nanoseconds)];
  ++count_;
  sum_ns_ += nanoseconds;
  max_ns_ = std::max(max_ns_, nanoseconds);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

uint64_t LatencyHistogram::percentile_ns(double percent) const {
  if (count_ == 0) return 0;
  // 99.99 % of 10,000 values are 9,999 of them, not 10,000 because a double could not hold the product.
  constexpr double kRounding = 1 - 1e-12;
  const double rank = std::ceil(percent / 100 * static_cast<double>(count_) * kRounding);
  const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(rank));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(highest_in_bucket(i), max_ns_);
  }
  return max_ns_;
}

std::vector<std::pair<uint64_t, uint64_t>> LatencyHistogram::filled_buckets() const {
  std::vector<std::pair<uint64_t, uint64_t>> filled;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] > 0) filled.emplace_back(highest_in_bucket(i), buckets_[i]);
  }
  return filled;
}

}  // namespace mosaic::workload
