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

constexpr int kLimit = static_cast<int>(kTokensMax);

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

TEST(Nesting, takes_time_in_proportion_to_the_text_whatever_the_brackets) {
  constexpr int kMany = 400'000;
  for (const std::string& text :
       {repeat("(", kMany) + repeat("]", kMany), repeat("([", kMany / 2) + repeat(")", kMany),
        repeat("(", 900) + repeat("]", 2 * kMany), repeat("CASE ", kMany) + repeat(")", kMany)}) {
    EXPECT_FALSE(route_text(text)) << text.substr(0, 40);
  }
}

TEST(TokenLimit, refuses_what_is_longer_without_reading_it_to_its_end) {
  const std::string at_the_limit = "SELECT 1" + repeat(", 1", kLimit / 2 - 1);
  for (const std::string& text :
       {repeat("(", kLimit + 1), repeat("a ", 2 * kLimit), repeat("'' ", kLimit + 7), at_the_limit + "+",
        "/* mosaic shard=1 */" + repeat(",", 3 * kLimit), repeat("$1", kLimit + 1)}) {
    const AnalyzedStatement statement = analyze(text);
    EXPECT_TRUE(statement.tokens.empty());
    ASSERT_EQ(statement.plan->parts.size(), 1u);
    EXPECT_EQ(statement.plan->parts[0].last_token, 0u);
    expect_refusal(text, "54000", "more than 1000000 words");
  }
  // What comes next finds nothing of it.
  expect_shard("SELECT * FROM media WHERE user_id = 5", shard_of_user(5));
}

TEST(TokenLimit, counts_each_token_once) {
  Tokenizer tokenizer;
  EXPECT_TRUE(tokenizer.read(repeat("(", kLimit)));
  EXPECT_EQ(tokenizer.tokens().size(), kTokensMax);
  EXPECT_FALSE(tokenizer.has_too_many_tokens());
  EXPECT_FALSE(tokenizer.read(repeat("(", kLimit + 1)));
  EXPECT_TRUE(tokenizer.has_too_many_tokens());
  EXPECT_FALSE(tokenizer.read(repeat("(", kLimit) + "'"));  // refused for what it is
  EXPECT_FALSE(tokenizer.has_too_many_tokens());
  EXPECT_TRUE(tokenizer.read("SELECT 1"));
  EXPECT_EQ(tokenizer.tokens().size(), 2u);
}

TEST(TokenLimit, lets_large_statements_pass) {
  expect_shard("INSERT INTO media (user_id, caption) VALUES (5, '" + std::string(50 << 20, 'x') + "')",
               shard_of_user(5));
  expect_shard("SELECT * FROM media WHERE user_id = 5 AND id IN (1" + repeat(", 2", 100'000) + ")",
               shard_of_user(5));
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
