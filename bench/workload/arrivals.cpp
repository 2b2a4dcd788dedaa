#include "bench/workload/arrivals.h"

#include <cassert>
#include <cmath>

namespace mosaic::workload {

std::string_view to_text(ArrivalPattern pattern) {
  return pattern == ArrivalPattern::kPoisson ? "poisson" : "fixed";
}

Arrivals::Arrivals(ArrivalPattern pattern, double per_second, Nanoseconds begin, double offset, uint64_t seed)
    : pattern_(pattern), period_ns_(1e9 / per_second), begin_(begin), offset_(offset), random_(seed) {
  assert(per_second > 0);
  if (pattern_ == ArrivalPattern::kFixed) {
    since_begin_ = offset_ * period_ns_;
  } else {
    advance();
  }
}

void Arrivals::advance() {
  ++index_;
  if (pattern_ == ArrivalPattern::kFixed) {
    // From the index, not from the last one: no error adds up.
    since_begin_ = (static_cast<double>(index_) + offset_) * period_ns_;
    return;
  }
  // Distances in a Poisson process are exponential; the generator's lowest value is 0, whose logarithm is
  // not.
  std::uniform_real_distribution<double> uniform(0, 1);
  since_begin_ -= std::log1p(-uniform(random_)) * period_ns_;
}

}  // namespace mosaic::workload
