#include "admin/console/shard_heat.h"

#include <gtest/gtest.h>

namespace mosaic::admin {
namespace {

using std::chrono::seconds;
using Clock = ShardHeat::Clock;

TEST(ShardHeat, tells_what_was_added_in_each_window) {
  ShardHeat heat;
  const Clock::time_point start{};
  // One statement of 5 us per second for shard 1; shard 0 only in the first second.
  const auto totals = [](uint64_t second) { return ShardTotals{{7, second}, {70, 5 * second}}; };
  for (uint64_t second = 0; second <= 1000; ++second) heat.sample(totals(second), start + seconds(second));
  const Clock::time_point now = start + seconds(1000);
  const ShardTotals ten_seconds = heat.added(0, totals(1000), now);
  EXPECT_EQ(ten_seconds.queries[0], 0u);
  EXPECT_GE(ten_seconds.queries[1], 10u);
  EXPECT_LE(ten_seconds.queries[1], 11u);
  EXPECT_EQ(ten_seconds.us[1], 5 * ten_seconds.queries[1]);
  const uint64_t minute = heat.added(1, totals(1000), now).queries[1];
  EXPECT_GE(minute, 60u);
  EXPECT_LE(minute, 66u);
  const uint64_t ten_minutes = heat.added(2, totals(1000), now).queries[1];
  EXPECT_GE(ten_minutes, 600u);
  EXPECT_LE(ten_minutes, 660u);
}

TEST(ShardHeat, tells_all_since_start_while_a_window_is_longer) {
  ShardHeat heat;
  const Clock::time_point start{};
  EXPECT_EQ(heat.added(0, {{3}, {30}}, start).queries[0], 3u);
  heat.sample({{3}, {30}}, start);
  EXPECT_EQ(heat.added(2, {{8}, {90}}, start + seconds(5)).queries[0], 8u);
}

}  // namespace
}  // namespace mosaic::admin
