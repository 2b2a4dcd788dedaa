// Simple queries as text, types and values of a prepared statement: which literals go, and which texts count
// as frequent.

#include "proxy/postgres/session/query_binder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "routing/postgres/wire/client_messages.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::proxy {
namespace {

using routing::testing::analyze;

// "text | type value, ..." or "as it is".
std::string bound(std::string_view text) {
  QueryBinder binder;
  const QueryBinder::BoundQuery* query = binder.bind(analyze(text));
  if (query == nullptr) return "as it is";
  const std::vector<uint32_t> types = routing::ParseMessage{"", query->text, query->types}.type_oids();
  const std::string body = std::string(2, '\0') + std::string(query->values);
  const auto message = routing::parse_bind(body);
  EXPECT_TRUE(message) << text;
  if (!message) return "";
  EXPECT_EQ(message->parameter_count, types.size());
  EXPECT_EQ(message->formats, "");
  EXPECT_TRUE(query->values.ends_with(std::string_view("\0\0", 2))) << "all columns as text";
  std::string line(query->text);
  const routing::Parameters parameters = message->parameters(types);
  for (uint32_t i = 0; i < types.size(); ++i)
    line += fmt::format("{}{} {}", i == 0 ? " | " : ", ", types[i], parameters.find(i)->bytes);
  return line;
}

TEST(QueryBinder, binds_integers_that_columns_are_compared_with) {
  EXPECT_EQ(bound("SELECT caption FROM media WHERE user_id = 5"),
            "SELECT caption FROM media WHERE user_id = $1 | 23 5");
  EXPECT_EQ(bound("SELECT caption FROM media m WHERE 7=m.id AND user_id=5 AND x"),
            "SELECT caption FROM media m WHERE $1=m.id AND user_id=$2 AND x | 23 7, 23 5");
  EXPECT_EQ(bound("DELETE FROM media WHERE user_id = 1 AND id OPERATOR(pg_catalog.=) 2"),
            "DELETE FROM media WHERE user_id = $1 AND id OPERATOR(pg_catalog.=) $2 | 23 1, 23 2");
  EXPECT_EQ(
      bound("SELECT 1 FROM media WHERE user_id = 3 AND EXISTS (SELECT 1 FROM media WHERE user_id = 3)"),
      "SELECT 1 FROM media WHERE user_id = $1 AND EXISTS (SELECT 1 FROM media WHERE user_id = $2) | 23 3, "
      "23 3");
}

// As PostgreSQL types the literal, so that operators and casts stay the same.
TEST(QueryBinder, declares_a_number_as_it_is_written) {
  const auto with = [](std::string_view number) {
    return bound(fmt::format("UPDATE media SET id = {} WHERE user_id = 1", number));
  };
  EXPECT_THAT(with("2147483647"), testing::HasSubstr("| 23 2147483647,"));
  EXPECT_THAT(with("2147483648"), testing::HasSubstr("| 20 2147483648,"));
  EXPECT_THAT(with("9223372036854775807"), testing::HasSubstr("| 20 9223372036854775807,"));
  EXPECT_THAT(with("9223372036854775808"), testing::HasSubstr("| 1700 9223372036854775808,"));
  EXPECT_THAT(with("007"), testing::HasSubstr("| 23 007,"));
  EXPECT_THAT(with("1.50"), testing::HasSubstr("| 1700 1.50,"));
  EXPECT_THAT(with("1e3"), testing::HasSubstr("| 1700 1e3,"));
}

// The tree repeats the row for each column of the list.
TEST(QueryBinder, binds_a_literal_once_that_a_row_assigns) {
  EXPECT_EQ(bound("UPDATE media SET (caption, liked) = ('x', id = 57) WHERE user_id = 5"),
            "UPDATE media SET (caption, liked) = ('x', id = $1) WHERE user_id = $2 | 23 57, 23 5");
}

TEST(QueryBinder, binds_what_a_row_is_written_with) {
  EXPECT_EQ(bound("INSERT INTO media (user_id, caption) VALUES (5, 'it''s')"),
            "INSERT INTO media (user_id, caption) VALUES ($1, $2) | 23 5, 25 it's");
  EXPECT_EQ(bound("INSERT INTO media (user_id, caption) VALUES (5, E'a\\nb'), (5, 'x')"), "as it is");
  EXPECT_EQ(bound("INSERT INTO media (user_id, caption) VALUES (5, E'a\\nb')"),
            "INSERT INTO media (user_id, caption) VALUES ($1, $2) | 23 5, 25 a\nb");
  EXPECT_EQ(bound("INSERT INTO media (user_id, caption) VALUES (5, 'a'\n'b') RETURNING id"),
            "INSERT INTO media (user_id, caption) VALUES ($1, $2) RETURNING id | 23 5, 25 ab");
  EXPECT_EQ(bound("UPDATE media SET caption='x'WHERE user_id = 5"),
            "UPDATE media SET caption=$1 WHERE user_id = $2 | 25 x, 23 5");
  EXPECT_EQ(
      bound("INSERT INTO media (user_id, id) VALUES (5, 6) ON CONFLICT (id) DO UPDATE SET caption = 'x'"),
      "INSERT INTO media (user_id, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET caption = $3 | 23 5, "
      "23 6, 25 x");
}

TEST(QueryBinder, leaves_what_shapes_plans_or_meanings) {
  EXPECT_EQ(bound("SELECT caption FROM media WHERE user_id = 5 AND caption = 'x' LIMIT 10"),
            "SELECT caption FROM media WHERE user_id = $1 AND caption = 'x' LIMIT 10 | 23 5");
  EXPECT_EQ(bound("SELECT 1, caption FROM media WHERE user_id = 5 AND id > 6 AND id IN (7, 8) AND id = -9"),
            "SELECT 1, caption FROM media WHERE user_id = $1 AND id > 6 AND id IN (7, 8) AND id = -9 | 23 5");
  EXPECT_EQ(
      bound("UPDATE media SET w = 1 + 2, caption = 'x'::text, x = NULL, y = true, z = -1 WHERE user_id = 5"),
      "UPDATE media SET w = 1 + 2, caption = 'x'::text, x = NULL, y = true, z = -1 WHERE user_id = $1 | 23 "
      "5");
  EXPECT_EQ(bound("INSERT INTO media (user_id, caption, x) VALUES (5, U&'x', b'1')"),
            "INSERT INTO media (user_id, caption, x) VALUES ($1, U&'x', b'1') | 23 5");
  EXPECT_EQ(bound("INSERT INTO media (user_id, id) VALUES (5, 6) LIMIT 1"), "as it is");
  EXPECT_EQ(bound("SELECT caption FROM media WHERE user_id::int = 5 AND id + 1 = 7"), "as it is");
}

TEST(QueryBinder, leaves_what_is_no_query_of_its_own) {
  for (const char* text :
       {"EXPLAIN SELECT caption FROM media WHERE user_id = 5",
        "SELECT 1; SELECT caption FROM media WHERE user_id = 5", "SET work_mem = 5",
        "COPY (SELECT caption FROM media WHERE user_id = 5) TO STDOUT",
        "SELECT caption FROM media WHERE user_id = $1 AND id = 5", "CREATE TABLE t AS SELECT 1 WHERE 1 = 1",
        "SELECT caption INTO t FROM media WHERE user_id = 5", "this is = 5"})
    EXPECT_EQ(bound(text), "as it is") << text;
  const std::string long_text =
      "SELECT caption FROM media WHERE user_id = 5 AND caption <> '" + std::string(5000, 'x') + "'";
  EXPECT_EQ(bound(long_text), "as it is");
  std::string many = "SELECT caption FROM media WHERE user_id = 5";
  for (int i = 0; i < 100; ++i) many += fmt::format(" OR id = {}", i);
  EXPECT_EQ(bound(many), "as it is");
}

TEST(QueryBinder, knows_texts_that_come_often) {
  QueryBinder binder;
  const auto come = [&](std::string_view text) {
    const auto* query = binder.bind(analyze(text));
    return query != nullptr && binder.is_familiar(*query, 3);
  };
  EXPECT_FALSE(come("SELECT caption FROM media WHERE user_id = 1"));
  EXPECT_FALSE(come("SELECT caption FROM media WHERE user_id = 2"));
  EXPECT_TRUE(come("SELECT caption FROM media WHERE user_id = 3"));
  EXPECT_FALSE(come("SELECT caption FROM media WHERE user_id = 30000000000")) << "of another type";
  EXPECT_FALSE(come("SELECT caption FROM media WHERE user_id = 3 LIMIT 1"));
  EXPECT_TRUE(come("SELECT caption FROM media WHERE user_id = 4"));
}

// One that comes all the time stays known among many that come once.
TEST(QueryBinder, forgets_texts_that_do_not_come_again) {
  QueryBinder binder;
  const auto come = [&](const std::string& text) {
    const auto* query = binder.bind(analyze(text));
    return query != nullptr && binder.is_familiar(*query, 2);
  };
  int known = 0, strangers = 0;
  for (int i = 0; i < 20'000; ++i) {
    known += come("SELECT caption FROM media WHERE user_id = 1");
    strangers += come(fmt::format("SELECT caption FROM media WHERE user_id = 1 LIMIT {}", i));
  }
  EXPECT_GT(known, 19'900);
  EXPECT_EQ(strangers, 0);
}

}  // namespace
}  // namespace mosaic::proxy
