#include "admin/move/bucket_doubts.h"

#include <gtest/gtest.h>

namespace mosaic::admin {
namespace {

TEST(BucketDoubts, are_settled_by_either_look_at_the_source) {
  EXPECT_TRUE(doubts_of({{1, "a"}}, {{1, "a"}}, {{1, "b"}}, {}).empty());
  EXPECT_TRUE(doubts_of({{1, "a"}}, {{1, "b"}}, {{1, "b"}}, {}).empty());
  EXPECT_TRUE(doubts_of({}, {{1, "b"}}, {{1, "b"}}, {}).empty());
  EXPECT_EQ(doubts_of({{1, "a"}}, {}, {{1, "a"}}, {}).size(), 1u);
  EXPECT_EQ(doubts_of({{1, "a"}}, {{1, "b"}}, {{1, "c"}}, {}).at(1).looks, 0);  // busy
}

// A row is inserted behind the first look at the source, and deleted before the second.
TEST(BucketDoubts, are_no_difference_when_a_row_comes_and_goes) {
  Doubts doubts;
  for (int look = 0; look < 10; ++look) {
    const Buckets source{{1, "3 77"}}, target{{1, "4 " + std::to_string(look)}};
    doubts = doubts_of(source, target, source, doubts);
    ASSERT_EQ(doubts.size(), 1u);
    EXPECT_EQ(count_differences(doubts), 0u);
  }
}

TEST(BucketDoubts, are_given_up_when_looking_does_not_settle_them) {
  Doubts busy, fewer, still;
  for (int64_t bucket = 0; bucket < 100; ++bucket) busy[bucket] = {};
  for (int64_t bucket = 0; bucket < 50; ++bucket) fewer[bucket] = {};
  EXPECT_TRUE(is_too_busy(busy, busy));
  EXPECT_FALSE(is_too_busy(fewer, busy));
  still = busy;
  still[7].looks = 1;
  EXPECT_FALSE(is_too_busy(still, busy));
}

TEST(BucketDoubts, are_differences_when_they_stay) {
  Doubts doubts;
  for (int look = 0; look < 10; ++look) {
    const Buckets source{{1, "3 77"}, {2, "1 5"}}, target{{1, "2 70"}, {2, look % 2 == 0 ? "1 6" : "1 7"}};
    doubts = doubts_of(source, target, source, doubts);
  }
  EXPECT_EQ(doubts.size(), 2u);
  EXPECT_EQ(count_differences(doubts), 1u);
}

}  // namespace
}  // namespace mosaic::admin
