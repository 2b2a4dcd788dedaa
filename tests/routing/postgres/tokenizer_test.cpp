#include "routing/postgres/sql/tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mosaic::routing {

namespace {

std::string tokens_of(std::string_view text) {
  Tokenizer tokenizer;
  std::string all;
  const bool is_read = tokenizer.read(text);
  for (const Token& token : tokenizer.tokens()) {
    all += all.empty() ? "" : "|";
    all += text.substr(token.begin, token.end - token.begin);
  }
  return is_read ? all : all + "|error";
}

std::string shape_of(std::string_view text) {
  Tokenizer tokenizer;
  EXPECT_TRUE(tokenizer.read(text)) << text;
  std::string shape(tokenizer.shape());
  for (char& c : shape) {
    if (c >= 1 && c <= 4) c = "inSb"[c - 1];
  }
  return shape;
}

}  // namespace

TEST(Tokenizer, cuts_where_postgres_cuts) {
  EXPECT_EQ(tokens_of("SELECT a.b,c FROM t"), "SELECT|a|.|b|,|c|FROM|t");
  EXPECT_EQ(tokens_of("a=-1"), "a|=|-|1");
  EXPECT_EQ(tokens_of("a@-1"), "a|@-|1");
  EXPECT_EQ(tokens_of("a<>-1 !=+2 <=+3"), "a|<>|-|1|!=+|2|<=|+|3");
  EXPECT_EQ(tokens_of("a::b:=c=>d:e"), "a|::|b|:=|c|=>|d|:|e");
  EXPECT_EQ(tokens_of("1..2 1.5.5 .5 1. 1e5 1.e-5"), "1|..|2|1.5|.5|.5|1.|1e5|1.e-5");
  EXPECT_EQ(tokens_of("$1,$12 $$a$$ $x$ $$ $y$ $x$"), "$1|,|$12|$$a$$|$x$ $$ $y$ $x$");
  EXPECT_EQ(tokens_of("a$1 $1::int"), "a$1|$1|::|int");
  EXPECT_EQ(tokens_of("'a''b' E'a\\'b' e'\\\\' N'x' U&'x' b'1' X'f'"),
            "'a''b'|E'a\\'b'|e'\\\\'|N|'x'|U&'x'|b'1'|X'f'");
  EXPECT_EQ(tokens_of("b'1''2' x'f'\n'f'"), "b'1'|'2'|x'f'\n'f'");
  EXPECT_EQ(tokens_of("'a\\' 'b'"), "'a\\'|'b'");
  EXPECT_EQ(tokens_of("'a'\n 'b' 'c'"), "'a'\n 'b'|'c'");
  EXPECT_EQ(tokens_of("'a' -- x\n -- y\n'b'"), "'a' -- x\n -- y\n'b'");
  EXPECT_EQ(tokens_of("'a' /* x */ \n 'b'"), "'a'|'b'");
  EXPECT_EQ(tokens_of("\"a\"\"b\" U&\"c\" u&d \"\xc3\xa9\""), "\"a\"\"b\"|U&\"c\"|u|&|d|\"\xc3\xa9\"");
  EXPECT_EQ(tokens_of("u'\"a\"'"), "u|'\"a\"'");
  EXPECT_EQ(tokens_of("a/*x/*y*/z*/b--c\nd"), "a|b|d");
  EXPECT_EQ(tokens_of("a+/*x*/-b*--c\n/d"), "a|+|-|b|*|/|d");
  EXPECT_EQ(tokens_of("a?|b ?& c @> d #>> e ~~* f"), "a|?||b|?&|c|@>|d|#>>|e|~~*|f");
  EXPECT_EQ(tokens_of("\xc3\xa9t\xc3\xa9_1 = 2"), "\xc3\xa9t\xc3\xa9_1|=|2");
  EXPECT_EQ(tokens_of("a_name_that_is_longer_than_sixteen_bytes_$x(b)"),
            "a_name_that_is_longer_than_sixteen_bytes_$x|(|b|)");
  EXPECT_EQ(tokens_of(" \t\r\n\f "), "");
}

TEST(Tokenizer, reads_a_text_of_nothing) {
  Tokenizer tokenizer;
  EXPECT_TRUE(tokenizer.read(""));
  EXPECT_TRUE(tokenizer.read(std::string_view()));
  EXPECT_TRUE(tokenizer.tokens().empty());
}

TEST(Tokenizer, refuses_what_postgres_refuses) {
  for (const char* text :
       {"'a",      "\"a",
        "\"\"",    "E'a\\'",
        "$$a",     "$x$ $y$",
        "/* a",    "/* /* a */",
        "1a",      "1e",
        "1e+",     "$1a",
        "$a",      "a \\ b",
        "{",       "a\x01",
        "'a'\n'b", "!@#$%^&*(",
        "b'1",     "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"}) {
    Tokenizer tokenizer;
    EXPECT_FALSE(tokenizer.read(text)) << text;
  }
}

TEST(Tokenizer, gives_statements_that_differ_in_literals_one_shape) {
  EXPECT_EQ(shape_of("SELECT * FROM t WHERE a = 1 AND b='x'"), "SELECT * FROM t WHERE a = i AND b=S");
  EXPECT_EQ(shape_of("  SELECT 1 -- end"), "SELECT i");
  EXPECT_EQ(shape_of("/* x */ SELECT\n\t1.5,B'1',E'x'  ,  $1 /* y */;"), "SELECT n,b,S , $1 ;");
  EXPECT_EQ(shape_of("a /* x */ b"), shape_of("a b"));
  EXPECT_EQ(shape_of("a = 99999999999999999999"), shape_of("a = 1"));
  EXPECT_EQ(shape_of("a = $$x$$"), shape_of("a = 'y' \n 'z'"));
  EXPECT_EQ(shape_of(""), "");
  EXPECT_EQ(shape_of(" "), "");
}

TEST(Tokenizer, gives_statements_that_mean_different_things_different_shapes) {
  EXPECT_NE(shape_of("a = 1"), shape_of("a = 1.0"));
  EXPECT_NE(shape_of("a = 1"), shape_of("a = '1'"));
  EXPECT_NE(shape_of("a = 1"), shape_of("a = -1"));
  EXPECT_NE(shape_of("a = '1'"), shape_of("a = B'1'"));
  EXPECT_NE(shape_of("a = $1"), shape_of("a = $2"));
  EXPECT_NE(shape_of("SELECT a b"), shape_of("SELECT ab"));
  EXPECT_NE(shape_of("a+-b"), shape_of("a+ -b"));
  EXPECT_NE(shape_of("n'x'"), shape_of("n 'x'"));
  EXPECT_NE(shape_of("\"a  b\""), shape_of("\"a b\""));
  EXPECT_NE(shape_of("'a' 'b'"), shape_of("'a' \n 'b'"));
  EXPECT_NE(shape_of("SELECT A"), shape_of("SELECT a"));
}

TEST(Tokenizer, reads_the_hint_of_a_leading_comment) {
  const auto hint_of = [](std::string_view text) {
    Tokenizer tokenizer;
    EXPECT_TRUE(tokenizer.read(text));
    return tokenizer.hint();
  };
  EXPECT_EQ(hint_of("/* mosaic shard=42 */ SELECT 1").kind, Hint::Kind::kShard);
  EXPECT_EQ(hint_of("/* mosaic shard=42 */ SELECT 1").value, "42");
  EXPECT_EQ(hint_of("/*mosaic user_id = 'a b'*/ SELECT 1").kind, Hint::Kind::kKey);
  EXPECT_EQ(hint_of("/*mosaic user_id = 'a b'*/ SELECT 1").value, "a b");
  EXPECT_EQ(hint_of("/* a */ -- b\n /* mosaic shard=1 */ /* mosaic shard=2 */ SELECT 1").value, "1");
  for (const char* text :
       {"SELECT 1 /* mosaic shard=42 */", "/* mosaic */ SELECT 1", "/* mosaicx shard=1 */ SELECT 1",
        "/* the mosaic shard=1 */ SELECT 1", "/* mosaic a b=1 */ SELECT 1", "-- mosaic shard=1\nSELECT 1"}) {
    EXPECT_EQ(hint_of(text).kind, Hint::Kind::kNone) << text;
  }
}

TEST(Tokenizer, reads_long_texts_after_giving_memory_back) {
  Tokenizer tokenizer;
  std::string text = "SELECT ";
  for (int i = 0; i < 5000; ++i) text += "a,";
  text += "1";
  ASSERT_TRUE(tokenizer.read(text));
  EXPECT_EQ(tokenizer.tokens().size(), 10002u);
  tokenizer.shrink_to(1000);
  ASSERT_TRUE(tokenizer.read("SELECT 1"));
  EXPECT_EQ(tokenizer.tokens().size(), 2u);
  ASSERT_TRUE(tokenizer.read(text));
  EXPECT_EQ(tokenizer.tokens().back().end, text.size());
}

}  // namespace mosaic::routing
