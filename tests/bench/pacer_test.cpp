#include "bench/workload/pacer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mosaic::workload {
namespace {

constexpr Nanoseconds kBegin = 5'000'000'000;
constexpr Nanoseconds kSecond = 1'000'000'000;

Arrivals fixed(double per_second, double offset = 0) {
  return Arrivals(ArrivalPattern::kFixed, per_second, kBegin, offset, 1);
}

TEST(Arrivals, of_a_fixed_rate_are_equally_far_apart_and_do_not_drift) {
  Arrivals arrivals = fixed(3, 0.5);
  for (uint64_t i = 0; i < 3'000'000; ++i) {
    if (i % 300'000 == 0) {
      const double expected = (static_cast<double>(i) + 0.5) * 1e9 / 3;
      ASSERT_NEAR(static_cast<double>(arrivals.next() - kBegin), expected, 1.0);
    }
    arrivals.advance();
  }
}

TEST(Arrivals, of_a_poisson_process_have_its_mean_and_variance) {
  constexpr int kCount = 200'000;
  constexpr double kRate = 1'000;
  Arrivals arrivals(ArrivalPattern::kPoisson, kRate, kBegin, 0, 42);
  std::vector<double> gaps;
  for (Nanoseconds last = kBegin; gaps.size() < kCount; arrivals.advance()) {
    ASSERT_GE(arrivals.next(), last);
    gaps.push_back(static_cast<double>(arrivals.next() - last));
    last = arrivals.next();
  }
  double mean = 0, variance = 0;
  for (const double gap : gaps) mean += gap / kCount;
  for (const double gap : gaps) variance += (gap - mean) * (gap - mean) / kCount;
  // Exponential distances: the standard deviation is the mean. Five standard errors of each; the seed is
  // fixed.
  EXPECT_NEAR(mean, 1e9 / kRate, 5 * (1e9 / kRate) / std::sqrt(kCount));
  EXPECT_NEAR(std::sqrt(variance), mean, 5 * mean * std::sqrt(2.0 / kCount));
}

TEST(Arrivals, copies_go_through_the_same_points) {
  Arrivals one(ArrivalPattern::kPoisson, 10, kBegin, 0, 7);
  one.advance();
  Arrivals other = one;
  for (int i = 0; i < 100; ++i, one.advance(), other.advance()) ASSERT_EQ(one.next(), other.next());
}

TEST(Pacer, measures_from_when_an_operation_was_due) {
  Pacer pacer(fixed(10), kBegin + kSecond);
  EXPECT_EQ(pacer.next_due(), kBegin);
  EXPECT_EQ(pacer.take(kBegin + 300), kBegin);
  EXPECT_EQ(pacer.next_due(), kBegin + kSecond / 10);
  EXPECT_EQ(pacer.start_delay().max_ns(), 300u);
}

TEST(Pacer, counts_what_waits_while_no_client_is_free) {
  Pacer pacer(fixed(10), kBegin + kSecond);
  pacer.observe(kBegin + kSecond / 2);
  EXPECT_EQ(pacer.due(), 6u);
  EXPECT_EQ(pacer.started(), 0u);
  for (int i = 0; i < 4; ++i) pacer.take(kBegin + kSecond / 2);
  pacer.observe(kBegin + kSecond * 7 / 10);
  EXPECT_EQ(pacer.due() - pacer.started(), 4u);
  EXPECT_EQ(pacer.backlog_max(), 6u);
  // The first that waits is begun first, however late.
  EXPECT_EQ(pacer.next_due(), kBegin + kSecond * 4 / 10);
}

TEST(Pacer, keeps_what_never_began_with_the_time_it_waited) {
  Pacer pacer(fixed(10), kBegin + kSecond);
  for (int i = 0; i < 7; ++i) pacer.take(kBegin + kSecond);
  pacer.finish();
  EXPECT_EQ(pacer.due(), 10u);
  EXPECT_EQ(pacer.unserved_wait().count(), 3u);
  EXPECT_EQ(pacer.unserved_wait().max_ns(), kSecond * 3 / 10);
}

TEST(Pacer, has_nothing_due_after_the_end) {
  Pacer pacer(fixed(1), kBegin + kSecond);
  pacer.take(kBegin);
  EXPECT_EQ(pacer.next_due(), Pacer::kNever);
  pacer.observe(kBegin + 100 * kSecond);
  EXPECT_EQ(pacer.due(), 1u);
  pacer.finish();
  EXPECT_EQ(pacer.unserved_wait().count(), 0u);
}

}  // namespace
}  // namespace mosaic::workload
