// Positions in a text that was sent, mapped back to the client's text, over texts of every length and width.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {
namespace {

using namespace testing;

uint32_t characters(std::string_view text) {
  uint32_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

TEST(TextChange, finds_what_follows_a_spliced_name_whatever_stands_before_it) {
  for (const std::string_view letter : {"x", "é", "€", "😀", "\xc3\xbf"}) {
    std::string literal;
    for (int length = 0; length < 40; ++length, literal += length % 3 == 0 ? "a" : letter) {
      const std::string text = fmt::format("SELECT '{}' FROM media WHERE user_id = 1", literal);
      const auto decided = route_text(text);
      ASSERT_TRUE(decided);
      std::vector<TextChange> changes;
      collect_text_changes(analyze(text), *decided, sample_catalog(), changes);
      const std::string sent = qualified(text, *decided);
      for (const std::string_view word : {"SELECT", "FROM", "WHERE", "user_id"}) {
        const uint32_t in_sent = characters(sent.substr(0, sent.find(word))) + 1;
        const uint32_t in_text = characters(text.substr(0, text.find(word))) + 1;
        EXPECT_EQ(original_position(changes, in_sent), in_text) << word << " in " << text;
      }
    }
  }
}

// The tree repeats the subquery for each column of the list.
TEST(TextChange, qualifies_a_subquery_once_that_several_columns_take_values_from) {
  const std::string text =
      "UPDATE users SET (name, bio) = (SELECT caption, id FROM media WHERE user_id = 1) WHERE user_id = 1";
  const auto decided = route_text(text);
  ASSERT_TRUE(decided) << decided.error().to_line();
  const std::string schema(sample_catalog().schema_of(decided->shard));
  EXPECT_EQ(qualified(text, *decided), "UPDATE " + schema +
                                           ".users SET (name, bio) = (SELECT caption, id FROM " + schema +
                                           ".media WHERE user_id = 1) WHERE user_id = 1");
}

// Quoted names need no spaces around them; what replaces them does.
TEST(TextChange, keeps_words_apart_that_a_quoted_name_held_apart) {
  const std::string text = R"(SELECT "m".caption FROM"media"m WHERE m.user_id = 1)";
  const auto decided = route_text(text);
  ASSERT_TRUE(decided);
  const std::string sent = qualified(text, *decided);
  const std::string schema(sample_catalog().schema_of(decided->shard));
  EXPECT_EQ(sent, "SELECT \"m\".caption FROM " + schema + ".media m WHERE m.user_id = 1");
  std::vector<TextChange> changes;
  collect_text_changes(analyze(text), *decided, sample_catalog(), changes);
  for (const std::string_view word : {"FROM", "WHERE", "m.user_id"}) {
    EXPECT_EQ(original_position(changes, static_cast<uint32_t>(sent.find(word)) + 1), text.find(word) + 1)
        << word;
  }
}

}  // namespace
}  // namespace mosaic::routing
