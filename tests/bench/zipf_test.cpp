#include "bench/workload/zipf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mosaic::workload {
namespace {

// Draws many and compares each of the first ranks with the exact probability, 1/k^s over the sum.
void expect_distribution(uint64_t ranks, double exponent) {
  constexpr int kDraws = 200'000;
  Zipf zipf(ranks, exponent);
  Random random(42);
  std::vector<int> counts(ranks);
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t rank = zipf.draw(random);
    ASSERT_LT(rank, ranks);
    ++counts[rank];
  }
  double sum = 0;
  for (uint64_t k = 1; k <= ranks; ++k) sum += std::pow(static_cast<double>(k), -exponent);
  for (uint64_t k = 1; k <= std::min<uint64_t>(ranks, 20); ++k) {
    const double expected = kDraws * std::pow(static_cast<double>(k), -exponent) / sum;
    // Five standard deviations: a right sampler fails this once in a million runs, and the seed is fixed.
    EXPECT_NEAR(counts[k - 1], expected, 5 * std::sqrt(expected) + 1) << "rank " << k << " of " << ranks;
  }
}

TEST(Zipf, draws_the_classic_distribution) { expect_distribution(1000, 1.0); }
TEST(Zipf, draws_other_exponents) {
  expect_distribution(100, 0.5);
  expect_distribution(5000, 1.3);
}
TEST(Zipf, draws_all_alike_with_an_exponent_of_zero) { expect_distribution(50, 0.0); }
TEST(Zipf, draws_from_one_and_two_ranks) {
  expect_distribution(1, 1.0);
  expect_distribution(2, 1.0);
}

}  // namespace
}  // namespace mosaic::workload
