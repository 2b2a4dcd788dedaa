#include "bench/workload/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace mosaic::workload {
namespace {

TEST(LatencyHistogram, is_exact_for_small_values) {
  LatencyHistogram histogram;
  for (uint64_t value = 1; value <= 100; ++value) histogram.record(value);
  EXPECT_EQ(histogram.count(), 100u);
  EXPECT_EQ(histogram.percentile_ns(50), 50u);
  EXPECT_EQ(histogram.percentile_ns(99), 99u);
  EXPECT_EQ(histogram.percentile_ns(100), 100u);
  EXPECT_DOUBLE_EQ(histogram.mean_ns(), 50.5);
}

TEST(LatencyHistogram, is_within_one_percent_of_the_sorted_values) {
  LatencyHistogram histogram;
  std::mt19937_64 random(7);
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) values.push_back(uint64_t{1} << (random() % 40) | (random() & 0xffff));
  for (const uint64_t value : values) histogram.record(value);
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size()))) - 1;
    const auto exact = static_cast<double>(values[rank]);
    const auto found = static_cast<double>(histogram.percentile_ns(percent));
    EXPECT_GE(found, exact) << percent;
    EXPECT_LE(found, exact * 1.01 + 1) << percent;
  }
}

// From a microsecond to a minute, in steps of a thousandth, and beside each power of two.
TEST(LatencyHistogram, tells_every_latency_with_less_than_a_hundredth_of_error) {
  const auto check = [](uint64_t value) {
    LatencyHistogram histogram;
    histogram.record(value);
    histogram.record(uint64_t{1} << 62);  // or the maximum would answer for the value
    const uint64_t told = histogram.percentile_ns(50);
    ASSERT_GE(told, value);
    ASSERT_LE(static_cast<double>(told - value), static_cast<double>(value) / 128) << value;
  };
  constexpr uint64_t kMicrosecond = 1'000, kMinute = 60'000'000'000;
  for (uint64_t value = kMicrosecond; value <= kMinute; value += value / 250) check(value);
  for (uint64_t power = 1024; power <= kMinute; power *= 2) {
    for (const uint64_t value : {power - 1, power, power + 1}) check(value);
  }
}

TEST(LatencyHistogram, takes_percentiles_by_rank) {
  LatencyHistogram histogram;
  for (int i = 0; i < 9'999; ++i) histogram.record(1);
  histogram.record(1'000'000);
  EXPECT_EQ(histogram.percentile_ns(99.99), 1u);
  EXPECT_EQ(histogram.percentile_ns(99.991), 1'000'000u);
}

TEST(LatencyHistogram, holds_the_largest_value_there_is) {
  LatencyHistogram histogram;
  histogram.record(UINT64_MAX);
  EXPECT_EQ(histogram.percentile_ns(50), UINT64_MAX);
}

TEST(LatencyHistogram, merges_as_if_all_had_been_recorded_in_one) {
  LatencyHistogram low, high, both;
  for (uint64_t i = 1; i <= 1000; ++i) {
    low.record(i * 1000);
    high.record(i * 1'000'000);
    both.record(i * 1000);
    both.record(i * 1'000'000);
  }
  low.merge(high);
  for (const double percent : {5.0, 50.0, 75.0, 99.9}) {
    EXPECT_EQ(low.percentile_ns(percent), both.percentile_ns(percent));
  }
  EXPECT_EQ(low.max_ns(), both.max_ns());
  EXPECT_EQ(low.count(), 2000u);
}

TEST(LatencyHistogram, tells_zero_when_empty) { EXPECT_EQ(LatencyHistogram().percentile_ns(99), 0u); }

}  // namespace
}  // namespace mosaic::workload
