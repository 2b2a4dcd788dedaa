#include "routing/postgres/sql/nesting.h"

#include <gtest/gtest.h>

#include <string>

#include "routing/postgres/sql/tokenizer.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

std::string repeat(std::string_view piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

}  // namespace

TEST(Nesting, refuses_texts_that_would_overflow_the_parsers_stack) {
  constexpr int kMany = 200'000;
  for (const std::string& text : {
           "SELECT " + repeat("(", kMany) + "1" + repeat(")", kMany),
           "SELECT 1" + repeat("+1", kMany),
           "SELECT " + repeat("- ", kMany) + "1",
           "SELECT " + repeat("NOT ", kMany) + "true",
           "SELECT 1" + repeat("::int", kMany),
           "SELECT 'a'" + repeat("||'b'", kMany),
           "SELECT 1" + repeat(" UNION SELECT 1 WHERE true AND true", kMany),
           "SELECT 1 FROM a" + repeat(" JOIN b ON x AND y", kMany),
           "SELECT " + repeat("CASE WHEN true AND true THEN ", kMany) + "1" + repeat(" END", kMany),
           "SELECT " + repeat("ARRAY[", kMany) + "1" + repeat("]", kMany),
           "SELECT " + repeat("f(1,", kMany) + "1" + repeat(")", kMany),
           "SELECT " + repeat("(SELECT ", kMany) + "1" + repeat(")", kMany),
           "SELECT a" + repeat(" IS NULL", kMany),
           "SELECT x" + repeat(" COLLATE y", kMany),
           "SELECT x" + repeat(" AT TIME ZONE y", kMany),
           "EXPLAIN " + repeat("EXPLAIN ", kMany) + "SELECT 1",
           "SELECT 1 FROM " + repeat("(a JOIN ", kMany) + "b" + repeat(" ON true)", kMany),
       }) {
    const auto decided = route_text(text);
    // Either we refuse it, or the grammar does: what counts is that we live.
    if (!decided) {
      EXPECT_EQ(decided.error().sqlstate, "54000") << text.substr(0, 40);
    }
  }
}

TEST(Nesting, lets_long_but_flat_statements_pass) {
  constexpr int kMany = 5'000;
  for (const std::string& text : {
           "INSERT INTO media (user_id, caption) VALUES (5, 'x')" + repeat(", (5, 'y' || 'z')", kMany),
           "SELECT * FROM media WHERE user_id = 5 AND (id = 1" + repeat(" OR id = 2 + 3", kMany) + ")",
           "SELECT * FROM media WHERE user_id = 5 AND id IN (1" + repeat(", 2", kMany) + ")",
           "UPDATE media SET caption = CASE" + repeat(" WHEN (id = 1) THEN 'x'", kMany) +
               " END WHERE user_id = 5",
           "SELECT 1" + repeat(", caption AS c", kMany) + " FROM media WHERE user_id = 5",
       }) {
    expect_shard(text, shard_of_user(5));
  }
}

// The deepest tree that is let through must fit into a thread's stack with room to spare, sanitizers
// included.
TEST(Nesting, leaves_room_on_the_stack_at_the_limit) {
  const int depth = static_cast<int>(kNestingMax) - 20;
  for (const std::string& text :
       {"SELECT " + repeat("(SELECT ", depth / 3) + "1" + repeat(")", depth / 3),
        "SELECT 1" + repeat("+1", depth / 2), "SELECT " + repeat("NOT ", depth) + "true",
        "SELECT 1" + repeat(" UNION SELECT 1", depth / 3)}) {
    EXPECT_TRUE(route_text(text)) << text.substr(0, 40);
  }
}

TEST(Nesting, counts_what_the_tree_would_be) {
  const auto nesting = [](std::string_view text) {
    Tokenizer tokenizer;
    EXPECT_TRUE(tokenizer.read(text));
    return estimate_nesting(text, tokenizer.tokens());
  };
  EXPECT_LT(nesting("SELECT a, b FROM c WHERE d = 1 AND e = 2"), 8u);
  EXPECT_GE(nesting("SELECT ((((1))))"), 5u);
  EXPECT_GE(nesting("SELECT 1+1+1+1+1"), 9u);
  EXPECT_LT(nesting("SELECT 1; SELECT 2; SELECT 3; SELECT 4"), 5u);
  EXPECT_GE(nesting("SELECT )))) ((((1"), 4u);
}

}  // namespace mosaic::routing
