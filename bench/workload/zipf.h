#pragma once
// Zipf-distributed ranks: rank 0 is the most popular. Rejection-inversion after W. Hoermann and G.
// Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions" (1996):
// constant time and memory for any number of ranks.

#include <cstdint>
#include <random>

namespace mosaic::workload {

using Random = std::mt19937_64;

class Zipf {
 public:
  // `rank_count` > 0; `exponent` >= 0, the larger the more skewed (1.0: the classic, 0: all alike).
  Zipf(uint64_t rank_count, double exponent);

  // 0 .. rank_count-1.
  uint64_t draw(Random& random) const;

 private:
  double integral(double x) const;
  double inverse_integral(double y) const;
  double density(double x) const;

  uint64_t rank_count_;
  double exponent_;
  double integral_first_;
  double integral_last_;
  double acceptance_;
};

}  // namespace mosaic::workload
