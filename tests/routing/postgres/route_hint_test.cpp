// What the client says beside the statement: hints in a comment and in a setting, and statements of several
// parts.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {
const Hint kSettingShard7{Hint::Kind::kShard, "7"};
}

TEST(RouteHint, takes_the_shard_from_a_leading_comment) {
  for (const char* text :
       {"/* mosaic shard=42 */ SELECT * FROM media", "/*mosaic shard=42*/SELECT next_id()",
        "  /* other */ /* mosaic  shard = '42' */ SELECT * FROM users, media",
        "-- line\n/* mosaic shard=42 */ TABLE media", "/* mosaic shard=42 */ SELECT 1",
        "/* mosaic shard=42 */ SELECT * FROM countries", "/* mosaic shard=42 */ LOCK TABLE media",
        "/* mosaic shard=42 */ VACUUM media", "/* mosaic shard=42 */ CALL f(1)",
        "/* mosaic shard=42 */ DO 'begin end'", "/* mosaic shard=42 */ SELECT f(1)",
        "/* mosaic shard=42 */ INSERT INTO media (user_id) VALUES (abs(5))",
        "/* mosaic shard=42 */ COPY media FROM STDIN",
        "/* mosaic shard=42 */ UPDATE media SET caption = ''"}) {
    expect_shard(text, ShardId{42});
    EXPECT_EQ(route_text(text)->reason, Route::Reason::kCommentHint) << text;
  }
  expect_shard("/* mosaic user_id=5 */ SELECT * FROM media", shard_of_user(5));
  expect_shard("/* mosaic user_id=5 */ SELECT next_id()", shard_of_user(5));
  expect_refusal("SELECT /* mosaic shard=42 */ * FROM media", "MZ010", "");
  expect_refusal("/* mosaics shard=42 */ SELECT * FROM media", "MZ010", "");
}

TEST(RouteHint, refuses_a_hint_that_names_no_shard) {
  expect_refusal("/* mosaic shard=64 */ SELECT * FROM media", "22023", "Shards are numbered 0 to 63");
  expect_refusal("/* mosaic shard=-1 */ SELECT * FROM media", "22023", "no shard");
  expect_refusal("/* mosaic shard=x */ SELECT * FROM media WHERE user_id = 5", "22023", "no shard");
  expect_refusal("/* mosaic user_id=x */ SELECT * FROM media", "MZ016", "an integer");
}

TEST(RouteHint, takes_the_setting_where_no_comment_says_otherwise) {
  expect_shard("SELECT * FROM media", ShardId{7}, kSettingShard7);
  expect_shard("/* mosaic shard=42 */ SELECT * FROM media", ShardId{42}, kSettingShard7);
  expect_shard("SELECT f(1)", ShardId{7}, kSettingShard7);
  EXPECT_EQ(route_text("SELECT * FROM media", kSettingShard7)->reason, Route::Reason::kSettingHint);
  // A setting is for the statements that need it.
  EXPECT_EQ(route_text("SELECT 1", kSettingShard7)->target, Route::Target::kAnyNode);
  EXPECT_EQ(route_text("SELECT * FROM countries", kSettingShard7)->target, Route::Target::kAnyNode);
  expect_node("SELECT * FROM unlisted", NodeId{0}, kSettingShard7);
}

TEST(RouteHint, is_one_more_condition_beside_the_statements_own_key) {
  ASSERT_NE(shard_of_user(5).value, 7u);
  expect_shard("SELECT * FROM media WHERE user_id = 5", ShardId{7}, kSettingShard7);
  expect_refusal("DELETE FROM media WHERE user_id = 5", "MZ012", "the hint says shard 7", kSettingShard7);
  expect_refusal("INSERT INTO media (user_id) VALUES (5)", "MZ012", "RESET mosaic.shard", kSettingShard7);
  expect_shard("DELETE FROM media WHERE user_id = 5", shard_of_user(5), {Hint::Kind::kKey, "5"});
  // It may pick one of several shards, for that shard's rows.
  const int64_t other = user_beside(5, false);
  expect_shard(fmt::format("SELECT * FROM media WHERE user_id IN (5, {})", other), shard_of_user(other),
               {Hint::Kind::kKey, fmt::format("{}", other)});
}

TEST(RouteHint, does_not_open_what_is_closed) {
  expect_refusal("/* mosaic shard=42 */ DROP TABLE media", "MZ015", "each shard's schema");
  expect_refusal("/* mosaic shard=42 */ SELECT * FROM media, settings", "MZ015", "pinned");
  expect_refusal("/* mosaic shard=42 */ INSERT INTO media (user_id) VALUES (NULL)", "MZ016", "");
}

TEST(RouteParts, agree_on_one_node) {
  const auto decided = route_text(
      "BEGIN; SELECT * FROM media WHERE user_id = 5; UPDATE media SET caption = 'x' WHERE user_id = 5; "
      "COMMIT");
  ASSERT_TRUE(decided) << decided.error().to_line();
  EXPECT_EQ(decided->target, Route::Target::kShard);
  EXPECT_EQ(decided->shard, shard_of_user(5));
  EXPECT_EQ(decided->reason, Route::Reason::kAgreedParts);
  EXPECT_FALSE(decided->is_read);
  EXPECT_EQ(decided->part_shards.size(), 4u);
  expect_any_node("BEGIN; SET x = 1; SELECT 1; COMMIT;");
  expect_any_node("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;");  // asyncpg's reset
  expect_node("SELECT * FROM unlisted; SELECT 1", NodeId{0});
}

TEST(RouteParts, qualify_each_part_with_its_own_shard) {
  // Shards 3 and 6 are on one node, 4 is on another.
  const std::string text = fmt::format("SELECT * FROM media WHERE id = {}; SELECT * FROM media WHERE id = {}",
                                       id_on(ShardId{3}), id_on(ShardId{6}));
  const auto decided = route_text(text);
  ASSERT_TRUE(decided) << decided.error().to_line();
  EXPECT_EQ(qualified(text, *decided),
            fmt::format(
                "SELECT * FROM shard_0003.media WHERE id = {}; SELECT * FROM shard_0006.media WHERE id = {}",
                id_on(ShardId{3}), id_on(ShardId{6})));
  expect_refusal(fmt::format("SELECT * FROM media WHERE id = {}; SELECT * FROM media WHERE id = {}",
                             id_on(ShardId{3}), id_on(ShardId{4})),
                 "MZ017", "statement 1 goes to node pg1 and statement 2 to node pg2");
  expect_refusal("SELECT 1; SELECT * FROM media", "MZ010", "");
}

}  // namespace mosaic::routing
