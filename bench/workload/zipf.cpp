#include "bench/workload/zipf.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace mosaic::workload {

namespace {

// log1p(x)/x and expm1(x)/x, with their limits at 0 where the quotients lose all digits.
double log1p_over(double x) { return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2; }
double expm1_over(double x) { return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2; }

}  // namespace

Zipf::Zipf(uint64_t rank_count, double exponent) : rank_count_(rank_count), exponent_(exponent) {
  assert(rank_count > 0 && exponent >= 0);
  integral_first_ = integral(1.5) - 1;
  integral_last_ = integral(static_cast<double>(rank_count) + 0.5);
  acceptance_ = 2 - inverse_integral(integral(2.5) - density(2));
}

double Zipf::density(double x) const { return std::exp(-exponent_ * std::log(x)); }

// The integral of the density from 1 to x, in a form that is also right for an exponent of 1.
double Zipf::integral(double x) const {
  const double log_x = std::log(x);
  return expm1_over((1 - exponent_) * log_x) * log_x;
}

double Zipf::inverse_integral(double y) const {
  const double t = std::max(-1.0, y * (1 - exponent_));
  return std::exp(log1p_over(t) * y);
}

uint64_t Zipf::draw(Random& random) const {
  std::uniform_real_distribution<double> uniform(0, 1);
  for (;;) {
    const double y = integral_last_ + uniform(random) * (integral_first_ - integral_last_);
    const double x = inverse_integral(y);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(rank_count_));
    if (k - x <= acceptance_ || y >= integral(k + 0.5) - density(k)) return static_cast<uint64_t>(k) - 1;
  }
}

}  // namespace mosaic::workload
