#pragma once
// Microseconds on a clock that only goes forward, and of the day (Unix time).

#include <cstdint>

namespace mosaic::proxy {

uint64_t monotonic_us();
uint64_t unix_us();

}  // namespace mosaic::proxy
