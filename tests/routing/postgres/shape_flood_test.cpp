// What statements of ever new shapes do to the cache of plans: a hundredth of the numbers that
// tests/end_to_end/shape_flood_test.py can be run with, and a cache that is as much smaller.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "routing/postgres/router.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::routing {

namespace {

constexpr int kHotShapes = 100;
constexpr size_t kCacheBytes = 512 << 10;

std::string hot_text(int shape, int64_t user) {
  return fmt::format("SELECT caption AS c{} FROM media WHERE user_id = {} AND caption <> '{}'", shape, user,
                     user);
}
std::string one_off_text(int number) {
  return fmt::format("SELECT caption AS once_{} FROM media WHERE user_id = {}", number, number);
}

class ShapeFlood : public ::testing::Test {
 protected:
  // Every statement must be routed right, from the cache or not.
  void run(const std::string& text, int64_t user) {
    const auto decided = route(router_.analyze(text, catalog_), {}, {}, catalog_, NodeId{0});
    ASSERT_TRUE(decided);
    ASSERT_EQ(decided->shard, testing::shard_of_user(user));
    ASSERT_LE(router_.statistics().bytes, kCacheBytes);
  }
  void run_hot_one(int number) {
    ++user_;
    run(hot_text(number % kHotShapes, user_), user_);
  }
  void run_hot(int rounds) {
    for (int i = 0; i < rounds * kHotShapes; ++i) run_hot_one(i);
  }
  uint64_t misses() const { return router_.statistics().misses; }

  const CatalogSnapshot& catalog_ = testing::sample_catalog();
  Router router_{RouterLimits{kCacheBytes, nullptr}};
  int64_t user_ = 0;
};

}  // namespace

TEST_F(ShapeFlood, many_texts_of_few_shapes_are_parsed_once_per_shape) {
  run_hot(100);
  const ShapeCacheStatistics statistics = router_.statistics();
  EXPECT_EQ(statistics.misses, 100u);
  EXPECT_EQ(statistics.hits, 9'900u);
  EXPECT_EQ(statistics.shapes, 100u);
  EXPECT_EQ(statistics.evictions, 0u);
}

TEST_F(ShapeFlood, many_shapes_stay_within_the_limit_and_hot_ones_stay_cached) {
  run_hot(1);
  const uint64_t misses_before = misses();
  constexpr int kOneOffs = 5'000;
  for (int i = 0; i < kOneOffs; ++i) {
    run(one_off_text(i), i);
    run_hot_one(i);
  }
  // One-off shapes push out one another: none of the hot ones had to be parsed again.
  EXPECT_EQ(misses() - misses_before, static_cast<uint64_t>(kOneOffs));
  const ShapeCacheStatistics statistics = router_.statistics();
  EXPECT_GT(statistics.evictions, static_cast<uint64_t>(kOneOffs) - statistics.shapes - 1);
  EXPECT_EQ(statistics.evictions + statistics.shapes, statistics.misses);
  EXPECT_GT(statistics.bytes, kCacheBytes * 9 / 10);
}

TEST_F(ShapeFlood, hot_shapes_come_back_after_one_parse_each) {
  run_hot(1);
  for (int i = 0; i < 5'000; ++i) run(one_off_text(i), i);
  const uint64_t misses_before = misses();
  run_hot(10);
  EXPECT_EQ(misses() - misses_before, static_cast<uint64_t>(kHotShapes));
}

}  // namespace mosaic::routing
