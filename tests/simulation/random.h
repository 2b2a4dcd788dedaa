#pragma once
// The simulation's only source of chance: the same seed gives the same run on every machine.

#include <cstdint>
#include <random>

namespace mosaic::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t limit) { return engine_() % limit; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace mosaic::simulation
