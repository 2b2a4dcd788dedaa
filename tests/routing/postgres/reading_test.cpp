// standard_conforming_strings off: where '...' ends, what it is worth, and that nothing which was found under
// one reading is used under the other.

#include "routing/postgres/sql/reading.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/sql/tokenizer.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

constexpr Reading kOn{true}, kOff{false};

std::string tokens_of(std::string_view text, Reading reading) {
  Tokenizer tokenizer;
  const bool is_read = tokenizer.read(text, reading);
  std::string all;
  for (const Token& token : tokenizer.tokens()) {
    all += all.empty() ? "" : "|";
    all += text.substr(token.begin, token.end - token.begin);
  }
  return is_read ? all : all + "|error";
}

std::string value_of(std::string_view token, Reading reading) {
  std::string scratch;
  const auto value = read_string_literal(token, reading, scratch);
  return value ? std::string(*value) : "no value";
}

Router& router() {
  static Router router(RouterLimits{});
  return router;
}

AnalyzedStatement read_as(std::string_view text, Reading reading) {
  return router().analyze(text, sample_catalog(), reading);
}

Result<Route> route_as(std::string_view text, Reading reading) {
  return route(read_as(text, reading), {}, {}, sample_catalog(), kAnywhere);
}

ShardId shard_of_email(std::string_view email) {
  KeyValue key;
  key.type = KeyType::kText;
  key.text = email;
  return shard_of(ShardFunction::kXxh3, key, sample_catalog().shard_count());
}

}  // namespace

TEST(Reading, decides_where_plain_strings_end) {
  for (const auto& [text, on, off] : std::vector<std::array<const char*, 3>>{
           {"'a\\' 'c'", "'a\\'|'c'", "'a\\' '|c|error"},
           {"'a\\'' c'", "'a\\'' c'", "'a\\''|c|error"},
           {"'\\\\'", "'\\\\'", "'\\\\'"},
           {"'\\\\' y'", "'\\\\'|y|error", "'\\\\'|y|error"},
           {"'a''b' '\\''", "'a''b'|error", "'a''b'|'\\''"},
           {"N'\\'' x", "N|error", "N|'\\''|x"},
           {"'a'\n'\\''", "|error", "'a'\n'\\''"},
           {"'a' -- \\\n'\\''", "|error", "'a' -- \\\n'\\''"},
           // Alike in both.
           {"E'\\'' b'1' x'f\\' \"a\\\" $$\\$$", "E'\\''|b'1'|x'f\\'|\"a\\\"|$$\\$$",
            "E'\\''|b'1'|x'f\\'|\"a\\\"|$$\\$$"},
           {"U&\"a\\0061\" UESCAPE '!'", "U&\"a\\0061\"|UESCAPE|'!'", "U&\"a\\0061\"|UESCAPE|'!'"},
           {"U&'a' x", "U&'a'|x", "|error"},
       }) {
    EXPECT_EQ(tokens_of(text, kOn), on) << text;
    EXPECT_EQ(tokens_of(text, kOff), off) << text;
  }
}

TEST(Reading, decides_what_plain_strings_are_worth) {
  EXPECT_EQ(value_of("'a\\tb'", kOn), "a\\tb");
  EXPECT_EQ(value_of("'a\\tb'", kOff), "a\tb");
  EXPECT_EQ(value_of("'it\\'s'", kOff), "it's");
  EXPECT_EQ(value_of("'\\x41\\102\\u0043'", kOff), "ABC");
  EXPECT_EQ(value_of("'a''b\\\\'\n'\\''", kOff), "a'b\\'");
  EXPECT_EQ(value_of("'\\u12'", kOff), "no value");
  EXPECT_EQ(value_of("E'\\t'", kOn), value_of("E'\\t'", kOff));
  EXPECT_EQ(value_of("$$\\t$$", kOff), "\\t");
  EXPECT_EQ(value_of("''", kOff), "");
}

// Found in the wild: the two readings name different users.
TEST(Reading, tells_the_key) {
  constexpr const char* kText =
      R"(SELECT * FROM media WHERE caption <> '\' AND user_id = 4 --' AND user_id = 3)";
  ASSERT_TRUE(route_as(kText, kOn));
  EXPECT_EQ(route_as(kText, kOn)->shard, shard_of_user(4));
  ASSERT_TRUE(route_as(kText, kOff));
  EXPECT_EQ(route_as(kText, kOff)->shard, shard_of_user(3));
  // The same texts again, from the cache.
  EXPECT_EQ(route_as(kText, kOn)->shard, shard_of_user(4));
  EXPECT_EQ(route_as(kText, kOff)->shard, shard_of_user(3));

  constexpr const char* kEmail = R"(SELECT * FROM accounts WHERE email = 'a\'b\x41')";
  EXPECT_EQ(route_as(kEmail, kOff)->shard, shard_of_email("a'bA"));
  EXPECT_EQ(read_as(kEmail, kOn).plan->parts[0].kind, StatementKind::kInvalid);
  constexpr const char* kTab = R"(SELECT * FROM accounts WHERE email IN ('a\tb'))";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(route_as(kTab, kOn)->shard, shard_of_email("a\\tb"));
    EXPECT_EQ(route_as(kTab, kOff)->shard, shard_of_email("a\tb"));
  }
  EXPECT_EQ(route_as(R"(SELECT * FROM accounts WHERE email = ANY('{"a\\tb"}'))", kOff)->shard,
            shard_of_email("atb"));
  EXPECT_EQ(route_as("INSERT INTO accounts VALUES ('\\'', N'\\'')", kOff)->shard, shard_of_email("'"));
}

// A table's name inside of a literal must not be qualified, and one outside must be.
TEST(Reading, tells_names_from_literals) {
  constexpr const char* kText = "SELECT 'x\\', caption FROM media WHERE user_id = 3 -- ', 1";
  const auto on = route_as(kText, kOn);
  ASSERT_TRUE(on);
  EXPECT_EQ(on->target, Route::Target::kShard);
  const auto off = route_as(kText, kOff);
  ASSERT_TRUE(off);
  EXPECT_EQ(off->target, Route::Target::kAnyNode);
  ByteBuffer out;
  append_qualified(out, read_as(kText, kOff), *off, sample_catalog());
  EXPECT_EQ(out.view(), kText);

  constexpr const char* kShifted =
      R"(SELECT '\'\'', m.caption FROM media m WHERE N'\'' <> 'a\'' AND user_id = 3)";
  const auto shifted = route_as(kShifted, kOff);
  ASSERT_TRUE(shifted) << shifted.error().to_line();
  ByteBuffer qualified;
  append_qualified(qualified, read_as(kShifted, kOff), *shifted, sample_catalog());
  std::string expected = kShifted;
  expected.insert(expected.find("media"), std::string(sample_catalog().schema_of(shard_of_user(3))) + ".");
  EXPECT_EQ(qualified.view(), expected);
}

TEST(Reading, reaches_options_and_settings) {
  EXPECT_EQ(read_as("COPY media FROM STDIN DELIMITER '\\t'", kOff).plan->parts[0].copy->delimiter, '\t');
  EXPECT_EQ(read_as("COPY media FROM STDIN DELIMITER '\\t'", kOn).plan->parts[0].copy->delimiter, '\\');
  EXPECT_EQ(read_as("COPY media FROM STDIN NULL '\\\\N'", kOff).plan->parts[0].copy->null_text, "\\N");
  EXPECT_EQ(read_as("COPY media FROM STDIN NULL '\\\\N'", kOn).plan->parts[0].copy->null_text, "\\\\N");
  EXPECT_EQ(read_as("SELECT set_config('a\\x2eb', 'x', false)", kOff).plan->parts[0].setting->name, "a.b");
  const StatementPart& set = read_as("SET application_name TO 'it\\'s'", kOff).plan->parts[0];
  EXPECT_EQ(set.setting->value_last - set.setting->value_first, 1u);
  EXPECT_TRUE(read_as("SET client_encoding TO 'S\\x4aIS'", kOff).plan->parts[0].refusal);
  EXPECT_FALSE(read_as("SET client_encoding TO 'S\\x4aIS'", kOn).plan->parts[0].refusal);
  const auto parts = read_as("SELECT '\\';'; SELECT 2", kOff).plan->parts;
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[1].first_token, 3u);
}

TEST(Reading, keeps_the_caches_apart) {
  Router own(RouterLimits{});
  constexpr const char* kPlain = "SELECT * FROM media WHERE caption = 'x' AND user_id = 5";
  for (int i = 0; i < 3; ++i) {
    own.analyze(kPlain, sample_catalog(), kOn);
    own.analyze(kPlain, sample_catalog(), kOff);
  }
  EXPECT_EQ(own.statistics().misses, 2u);
  EXPECT_EQ(own.statistics().hits, 4u);
  EXPECT_EQ(own.statistics().shapes, 2u);
  for (const ShapeStatistics& shape : own.shapes(10))
    EXPECT_EQ(shape.text, "SELECT * FROM media WHERE caption = ? AND user_id = ?");
  const CompiledStatement compiled(own.analyze(kPlain, sample_catalog(), kOff));
  EXPECT_EQ(compiled.view().reading, kOff);
}

TEST(PortableText, means_the_same_under_both_readings) {
  const auto portable = [](std::string_view text, Reading reading) {
    Tokenizer tokenizer;
    EXPECT_TRUE(tokenizer.read(text, reading)) << text;
    return make_portable(text, tokenizer.tokens(), reading).text;
  };
  EXPECT_EQ(portable("SELECT 'a', E'\\t', $$\\$$ -- \\", kOff), "SELECT 'a', E'\\t', $$\\$$ -- \\");
  EXPECT_EQ(portable("SELECT 'a\\'b'", kOff), "SELECT  E'a\\'b'");
  EXPECT_EQ(portable("SELECT 'a\\b'", kOn), "SELECT  E'a\\\\b'");
  EXPECT_EQ(portable("SELECT date'\\''", kOff), "SELECT date E'\\''");
  EXPECT_EQ(portable("SELECT N'\\', n'b'", kOn), "SELECT NCHAR E'\\\\', n'b'");

  const std::vector<std::string> pieces = {
      "'a'", "'\\\\'", "'\\t''b'", "'\\x41'\n'b'", "E'\\''", "$$\\$$", "n'\\\\'", "word", "5", "\"q\\\"", ",",
      "+",   " ",      "\n"};
  std::mt19937 random(11);
  size_t rewritten = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (size_t count = 1 + random() % 6; count > 0; --count) text += pieces[random() % pieces.size()];
    for (const Reading reading : {kOn, kOff}) {
      Tokenizer before, after;
      if (!before.read(text, reading)) continue;
      const PortableText made = make_portable(text, before.tokens(), reading);
      rewritten += made.text != text;
      for (const Reading other : {kOn, kOff}) {
        ASSERT_TRUE(after.read(made.text, other)) << text << "\n" << made.text;
        ASSERT_EQ(after.tokens().size(), before.tokens().size()) << text << "\n" << made.text;
        for (size_t i = 0; i < after.tokens().size(); ++i) {
          const Token& was = before.tokens()[i];
          const Token& is = after.tokens()[i];
          ASSERT_EQ(is.begin, made.tokens[i].begin) << text << "\n" << made.text;
          ASSERT_EQ(is.end, made.tokens[i].end) << text << "\n" << made.text;
          ASSERT_EQ(is.kind, was.kind);
          if (is.kind != TokenKind::kString) continue;
          ASSERT_EQ(value_of(std::string_view(made.text).substr(is.begin, is.end - is.begin), other),
                    value_of(std::string_view(text).substr(was.begin, was.end - was.begin), reading))
              << text << "\n"
              << made.text;
        }
      }
    }
  }
  EXPECT_GT(rewritten, 10'000u);
}

// libpg_query checks E'...' for UTF8; a client of another encoding may not be refused for that.
TEST(PortableText, lets_the_parser_take_other_encodings) {
  constexpr const char* kText = "SELECT * FROM media WHERE user_id = 5 AND caption = E'\xfc\\303\\274'";
  ASSERT_TRUE(route_as(kText, kOn));
  EXPECT_EQ(route_as(kText, kOn)->shard, shard_of_user(5));
  EXPECT_EQ(route_as("SELECT * FROM media WHERE caption = '\xfc\\303\\274' AND user_id = 5", kOff)->shard,
            shard_of_user(5));
  EXPECT_EQ(read_as("SELECT E'\\xff'", kOn).plan->parts[0].kind, StatementKind::kInvalid);
}

// libpg_query's own copy of the lexer cuts these strings in two, and finds a syntax error where no server
// does.
TEST(PortableText, lets_the_parser_see_strings_that_go_on_behind_a_comment) {
  for (const char* text : {
           "SELECT * FROM media WHERE caption = 'a' -- it's\n'b' AND user_id = 5",
           "SELECT * FROM media WHERE caption = 'a' -- x\n -- 'y'\n  'b' -- z\n'c' AND user_id = 5 -- '",
           "SELECT * FROM media WHERE caption = E'\\'' -- \\'\n'--\\'' AND user_id = 5",
           "SELECT b'1' -- 2\n'0' FROM media WHERE user_id = 5",
           "SELECT * FROM media WHERE user_id = '5' -- five\n''",
           "SELECT U&'\\0041' -- x\n'b' FROM media WHERE user_id = 5",
           "SELECT * FROM media WHERE caption = '--' -- --\n'--' AND user_id = 5",
       }) {
    const auto decided = route_as(text, kOn);
    ASSERT_TRUE(decided) << text << ": " << decided.error().to_line();
    EXPECT_EQ(decided->target, Route::Target::kShard) << text;
    EXPECT_EQ(decided->shard, shard_of_user(5)) << text;
  }
  const auto off =
      route_as("SELECT '\\'' -- \\\n'\\'' FROM media WHERE user_id = 5 AND caption = '\\'' -- '\n''", kOff);
  ASSERT_TRUE(off);
  EXPECT_EQ(off->shard, shard_of_user(5));
}

TEST(SyntaxError, is_the_parsers_with_its_place) {
  struct Example {
    const char* text;
    const char* words;
  };
  for (const Example& example : {
           Example{"SELEC", "syntax error at or near \"SELEC\" (At character 1.)"},
           Example{"SELECT * FROM media WHERE", "syntax error at end of input (At character 26.)"},
           Example{"SELECT \xc3\xa9, FROM media", "syntax error at or near \"FROM\" (At character 11.)"},
           Example{"SELECT 'a", "unterminated quoted string at or near \"'a\" (At character 8.)"},
           Example{"SELECT 1; UPDAT x", "syntax error at or near \"UPDAT\" (At character 11.)"},
       }) {
    const AnalyzedStatement statement = read_as(example.text, kOn);
    ASSERT_EQ(statement.plan->parts[0].kind, StatementKind::kInvalid) << example.text;
    const Error error = syntax_error_of(statement);
    EXPECT_EQ(error.sqlstate, "42601");
    EXPECT_EQ(error.to_line(), example.words);
  }
}

}  // namespace mosaic::routing
