#pragma once
// Runs an event loop in a test until a condition holds, or a deadline fails the test.

#include <gtest/gtest.h>

#include <functional>

#include "pool/event_loop.h"

namespace mosaic::pool {

inline constexpr uint64_t kDeadlineMs = 30'000;

inline void run_until(EventLoop& loop, const std::function<bool()>& is_done, const char* what) {
  bool is_reached = is_done();
  if (is_reached) return;
  uint64_t ticks = 0;
  Ticker ticker(loop, 1, [&] {
    is_reached = is_done();
    if (is_reached || ++ticks > kDeadlineMs) loop.stop();
  });
  loop.run();
  ASSERT_TRUE(is_reached) << "waited in vain for " << what;
}

}  // namespace mosaic::pool
