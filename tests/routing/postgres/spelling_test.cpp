// Spelling::matches() must never find other tokens than a Tokenizer: a key read at the wrong place would be a
// wrong shard.

#include "routing/postgres/sql/spelling.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "routing/postgres/router.h"
#include "routing/postgres/sql/tokenizer.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::routing {

namespace {

Spelling spelling_of(std::string_view text, Reading reading) {
  Tokenizer tokenizer;
  EXPECT_TRUE(tokenizer.read(text, reading)) << text;
  Spelling spelling;
  spelling.assign(text, reading, tokenizer.tokens(), tokenizer.hint());
  return spelling;
}

// Whether `text` is spelled like `model`; if so, checks what was found.
bool is_spelled_like(std::string_view model, std::string_view text, Reading reading = {}) {
  const Spelling spelling = spelling_of(model, reading);
  std::vector<Token> tokens;
  Hint hint;
  if (!spelling.matches(text, reading, tokens, hint)) return false;
  EXPECT_EQ(Spelling::hash_of_beginning(model), Spelling::hash_of_beginning(text)) << model << "\n" << text;
  Tokenizer tokenizer;
  EXPECT_TRUE(tokenizer.read(text, reading)) << text;
  EXPECT_EQ(tokens.size(), tokenizer.tokens().size()) << text;
  for (size_t i = 0; i < std::min(tokens.size(), tokenizer.tokens().size()); ++i) {
    const Token& expected = tokenizer.tokens()[i];
    EXPECT_EQ(tokens[i].begin, expected.begin) << model << "\n" << text;
    EXPECT_EQ(tokens[i].end, expected.end) << model << "\n" << text;
    EXPECT_EQ(tokens[i].kind, expected.kind) << model << "\n" << text;
  }
  EXPECT_EQ(hint.kind, tokenizer.hint().kind);
  EXPECT_EQ(hint.value, tokenizer.hint().value);
  return true;
}

}  // namespace

TEST(Spelling, finds_the_literals_of_the_next_text) {
  EXPECT_TRUE(is_spelled_like("SELECT a FROM t WHERE b = 7 AND c = 'x'",
                              "SELECT a FROM t WHERE b = 123456 AND c = 'it''s'"));
  EXPECT_TRUE(is_spelled_like("SELECT $1, E'\\'', 1.5, b'1' -- 5", "SELECT $1, E'', 2.5e3, b'101' -- 5"));
  EXPECT_TRUE(is_spelled_like("7", "12"));
  EXPECT_TRUE(is_spelled_like("'a'", "'a'\n'b'"));
  EXPECT_TRUE(is_spelled_like("$$a$$ x", "$b$ $$ $b$ x"));
  EXPECT_TRUE(is_spelled_like("", ""));
  EXPECT_TRUE(is_spelled_like("/* mosaic shard=42 */ SELECT 1", "/* mosaic shard=42 */ SELECT 2"));
}

TEST(Spelling, is_another_when_anything_else_differs) {
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT 1 "));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT  1"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "select 1"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT 1.5"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT '1'"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT -1"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT $1"));
  EXPECT_FALSE(is_spelled_like("SELECT $$a$$", "SELECT $1"));
  EXPECT_FALSE(is_spelled_like("SELECT 1", "SELECT "));
  EXPECT_FALSE(is_spelled_like("SELECT 1, 2", "SELECT 1"));
  EXPECT_FALSE(is_spelled_like("SELECT 'a', 2", "SELECT 'a'\n'b, 2"));
  EXPECT_FALSE(is_spelled_like("SELECT date'x'", "SELECT datee'x'"));
  EXPECT_FALSE(is_spelled_like("SELECT a.b, 5", "SELECT a.b, .5"));
  EXPECT_FALSE(is_spelled_like("SELECT a 5", "SELECT a .5"));
  EXPECT_FALSE(is_spelled_like("SELECT 'a' b", "SELECT E'\\' b"));
  EXPECT_FALSE(is_spelled_like("/* mosaic shard=42 */ SELECT 1", "/* mosaic shard=43 */ SELECT 1"));
}

// Texts made of what meets at the edges of literals, without spaces more often than with.
TEST(Spelling, never_differs_from_the_tokenizer) {
  const std::vector<std::vector<std::string>> kinds = {
      {"1", "23", "456"},
      {"1.5", "1e3", "1.", ".5", "..5"},
      {"'a'", "'b''c'", "''", "'a'\n'b'", "'\\'", "'\\'b'"},
      {"E'x'", "e'\\''", "U&'x'", "$$d$$", "$t$e$t$"},
      {"b'1'", "X'f'"},
      {"$1", "a", "e", "b", "u", "date", "\"q\""},
      {"=", "<>-", "-", "+", ".", "..", "::", ",", "(", ")", "&", "@"},
      {" ", "\n", "--x\n", "/*y*/"},
      {"$", "'", ";"}};
  std::mt19937 random(7);
  const auto pick = [&random](const auto& from) -> const auto& { return from[random() % from.size()]; };
  size_t alike = 0, alike_of_old = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string model_text, other_text;
    for (size_t pieces = 1 + random() % 6; pieces > 0; --pieces) {
      const auto& kind = pick(kinds);
      const std::string& piece = pick(kind);
      model_text += piece;
      const bool is_kept = random() % 2 == 0;
      other_text += is_kept ? piece : random() % 8 > 0 ? pick(kind) : pick(pick(kinds));
    }
    const Reading reading{random() % 3 > 0};
    Tokenizer tokenizer;
    if (!tokenizer.read(model_text, reading)) continue;
    const std::string model_shape(tokenizer.shape());
    if (is_spelled_like(model_text, other_text, reading)) {
      ASSERT_TRUE(tokenizer.read(other_text, reading));
      ASSERT_EQ(tokenizer.shape(), model_shape) << model_text << "\n" << other_text;
      alike += model_text != other_text;
      alike_of_old += model_text != other_text && !reading.standard_conforming_strings;
    }
  }
  EXPECT_GT(alike, 3'000u);
  EXPECT_GT(alike_of_old, 500u);
}

TEST(Router, knows_a_statement_by_its_spelling_or_by_its_shape) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  const std::vector<std::string> spellings = {
      "SELECT caption FROM media WHERE user_id = ", "SELECT caption FROM media\n WHERE user_id = ",
      "SELECT caption FROM media /* 5 */ WHERE user_id = "};
  for (int64_t user = 1; user <= 300; ++user) {
    // Three of the same spelling in a row, so that each is once the first and once a later one.
    const std::string text = spellings[static_cast<size_t>(user / 3 % 3)] + std::to_string(user);
    const auto decided = route(router.analyze(text, catalog), {}, {}, catalog, NodeId{0});
    ASSERT_TRUE(decided) << text;
    ASSERT_EQ(decided->shard, testing::shard_of_user(user)) << text;
  }
  EXPECT_EQ(router.statistics().shapes, 1u);
  EXPECT_EQ(router.statistics().hits, 299u);
  EXPECT_EQ(router.shapes(1)[0].hits, 299u);
}

TEST(Router, forgets_a_spelling_with_its_shape) {
  constexpr size_t kBytes = 32 << 10;
  Router router(RouterLimits{kBytes, nullptr});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  // All begin alike, up to the first digit; each is sent twice, so that its spelling is kept and then
  // evicted.
  for (int round = 0; round < 3; ++round) {
    for (int shape = 0; shape < 200; ++shape) {
      for (int64_t user = 1; user <= 2; ++user) {
        const std::string text = "SELECT caption AS c" + std::to_string(shape) +
                                 " FROM media WHERE user_id = " + std::to_string(user);
        const auto decided = route(router.analyze(text, catalog), {}, {}, catalog, NodeId{0});
        ASSERT_TRUE(decided) << text;
        ASSERT_EQ(decided->shard, testing::shard_of_user(user)) << text;
        ASSERT_LE(router.statistics().bytes, kBytes);
      }
    }
  }
  EXPECT_GT(router.statistics().evictions, 100u);
}

}  // namespace mosaic::routing
