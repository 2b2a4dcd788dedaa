#pragma once
// What a micro-benchmark reports beside time: allocations, and where the kernel lets us count them,
// instructions, per iteration. Every benchmark of this folder makes one Measured just before its loop;
// measured.cpp counts.

#include <benchmark/benchmark.h>

#include <cstdint>

namespace mosaic::micro {

// Calls of malloc, calloc and realloc (so of operator new too) since the program began. In sanitizer builds,
// whose malloc must not be replaced, it stays 0.
uint64_t allocation_count();
bool counts_allocations();

class Measured {
 public:
  explicit Measured(benchmark::State& state);
  // Adds the counters to the benchmark's row.
  ~Measured();
  Measured(const Measured&) = delete;
  Measured& operator=(const Measured&) = delete;

 private:
  benchmark::State& state_;
  uint64_t allocations_before_;
  uint64_t instructions_before_;
};

}  // namespace mosaic::micro
