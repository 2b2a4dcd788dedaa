// Writes: where new rows go, and what must never happen to a row's key.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

TEST(RouteWrite, sends_insert_with_key_to_one_shard) {
  const int64_t same = user_beside(5, true);
  const int64_t id = id_on(shard_of_user(5));
  for (const std::string& text : {
           std::string("INSERT INTO media (user_id, caption) VALUES (5, 'x') RETURNING id"),
           std::string("INSERT INTO media (caption, user_id) VALUES ('x', '5')"),
           std::string("INSERT INTO media VALUES (DEFAULT, 5, 'x')"),
           std::string("INSERT INTO media VALUES (next_id(), 5)"),
           std::string("INSERT INTO media AS m (user_id) VALUES (5) ON CONFLICT (id) DO UPDATE SET user_id = "
                       "excluded.user_id"),
           std::string("INSERT INTO media (user_id) VALUES (5) ON CONFLICT DO NOTHING"),
           std::string("INSERT INTO events (user_id, x) VALUES (5, (SELECT max(code) FROM countries))"),
           std::string("INSERT INTO media (user_id) VALUES (5), (5), ('5'::bigint)"),
           fmt::format("INSERT INTO media (user_id) VALUES (5), ({})", same),
           fmt::format("INSERT INTO media (id, user_id) VALUES ({}, 5), (DEFAULT, 5), (next_id(), 5)", id),
           std::string("INSERT INTO media (user_id, caption) SELECT 5, name FROM countries"),
           std::string("INSERT INTO media (user_id) SELECT 5 UNION ALL SELECT 5"),
           std::string(
               "INSERT INTO likes (user_id, media_id) SELECT user_id, id FROM media WHERE user_id = 5"),
           std::string("INSERT INTO likes SELECT id, user_id FROM media WHERE media.user_id = 5"),
           std::string("INSERT INTO media SELECT * FROM media WHERE user_id = 5"),
           std::string("WITH x AS (SELECT 'x' AS c) INSERT INTO media (user_id, caption) VALUES (5, (SELECT "
                       "c FROM x))"),
       }) {
    expect_shard(text, shard_of_user(5));
    EXPECT_FALSE(route_text(text)->is_read) << text;
  }
}

TEST(RouteWrite, refuses_insert_whose_key_it_can_not_evaluate) {
  expect_refusal("INSERT INTO media (caption) VALUES ('x')", "MZ010", "Add \"user_id\" to the column list");
  expect_refusal("INSERT INTO media (user_id) VALUES (DEFAULT)", "MZ016",
                 "Give \"user_id\" as a literal or a parameter");
  expect_refusal("INSERT INTO media (user_id) VALUES (5), (abs(5))", "MZ016", "expression");
  expect_refusal("INSERT INTO media (user_id) VALUES ((SELECT 5))", "MZ016", "expression");
  expect_refusal("INSERT INTO media (user_id) VALUES (NULL)", "MZ016", "NULL");
  expect_refusal("INSERT INTO media (user_id) VALUES (NULL::bigint)", "MZ016", "NULL");
  expect_refusal("INSERT INTO media (user_id) VALUES ('five')", "MZ016", "an integer");
  expect_refusal("INSERT INTO media (user_id) VALUES (5.5)", "MZ016", "an integer");
  expect_refusal("INSERT INTO media (user_id) VALUES (99999999999999999999)", "MZ016", "range of bigint");
  expect_refusal("INSERT INTO events VALUES (1, 5)", "MZ016",
                 "Name the columns: INSERT INTO events (user_id, ...)");
  expect_refusal("INSERT INTO media (user_id) SELECT max(user_id) FROM media WHERE user_id = 5", "MZ016",
                 "expression");
  expect_refusal("INSERT INTO media (user_id, id) VALUES (5, abs(1))", "MZ016", "next_id()");
  expect_refusal("INSERT INTO media (user_id, id) SELECT 5, nextval('s')", "MZ016", "next_id()");
  expect_refusal("INSERT INTO media (user_id, id) VALUES (5, 77)", "MZ012", "its default, next_id()");
  expect_refusal("INSERT INTO media (user_id, id) VALUES (5, -77)", "MZ016", "its default, next_id()");
}

TEST(RouteWrite, refuses_insert_of_rows_on_several_shards) {
  const int64_t other = user_beside(5, false);
  expect_refusal(fmt::format("INSERT INTO media (user_id) VALUES (5), ({})", other), "MZ011",
                 fmt::format("5 is on shard {}, {} is on shard {}", shard_of_user(5).value, other,
                             shard_of_user(other).value));
  expect_refusal(fmt::format("INSERT INTO media (user_id) SELECT * FROM (VALUES (5), ({})) v", other),
                 "MZ011", "shard");
  // A hint does not make a row's key right.
  expect_refusal(fmt::format("/* mosaic user_id=5 */ INSERT INTO media (user_id) VALUES (5), ({})", other),
                 "MZ011", "");
}

TEST(RouteWrite, refuses_an_id_of_another_shard) {
  const ShardId elsewhere{(shard_of_user(5).value + 1) % 64};
  expect_refusal(fmt::format("INSERT INTO media (user_id, id) VALUES (5, {})", id_on(elsewhere)), "MZ012",
                 "belongs to another shard than the row");
  expect_refusal(
      fmt::format("UPDATE media SET caption = 'x' WHERE user_id = 5 AND id = {}", id_on(elsewhere)), "MZ012",
      "contradict each other");
  expect_refusal(fmt::format("DELETE FROM media WHERE user_id = 5 AND user_id = {}", user_beside(5, false)),
                 "MZ012", "contradict each other");
  // The same conditions only read: the empty result is right.
  expect_shard(fmt::format("SELECT * FROM media WHERE user_id = 5 AND id = {}", id_on(elsewhere)),
               shard_of_user(5));
}

TEST(RouteWrite, keeps_rows_on_their_shard) {
  const int64_t same = user_beside(5, true);
  const int64_t other = user_beside(5, false);
  expect_shard(fmt::format("UPDATE media SET user_id = {} WHERE user_id = 5", same), shard_of_user(5));
  expect_shard("UPDATE media SET user_id = user_id, caption = 'x' WHERE user_id = 5", shard_of_user(5));
  expect_shard("UPDATE media m SET (user_id, caption) = (5, 'x') WHERE user_id = 5", shard_of_user(5));
  expect_refusal(fmt::format("UPDATE media SET user_id = {} WHERE user_id = 5", other), "MZ013",
                 "Insert the row anew with the new key");
  expect_refusal("UPDATE media SET user_id = user_id + 1 WHERE user_id = 5", "MZ013", "");
  expect_refusal("UPDATE media SET user_id = DEFAULT WHERE user_id = 5", "MZ013", "");
  expect_refusal("UPDATE media SET user_id = NULL WHERE user_id = 5", "MZ013", "");
  expect_refusal("UPDATE media SET (user_id, caption) = (SELECT 5, 'x') WHERE user_id = 5", "MZ013", "");
  expect_refusal("UPDATE media SET id = id + 1 WHERE user_id = 5", "MZ013", "\"id\"");
  expect_refusal("INSERT INTO media (user_id) VALUES (5) ON CONFLICT (id) DO UPDATE SET user_id = 5 + 1",
                 "MZ013", "");
  expect_refusal(
      fmt::format("INSERT INTO media (user_id) VALUES (5) ON CONFLICT (id) DO UPDATE SET user_id = {}",
                  other),
      "MZ013", "");
}

TEST(RouteWrite, joins_update_and_delete_on_the_key) {
  expect_shard(
      "UPDATE media SET caption = u.name FROM users u WHERE u.user_id = media.user_id AND u.user_id = 5",
      shard_of_user(5));
  expect_shard("DELETE FROM media USING users u WHERE u.user_id = media.user_id AND media.user_id = 5",
               shard_of_user(5));
  expect_shard("DELETE FROM likes WHERE user_id IN (SELECT user_id FROM users WHERE user_id = 5)",
               shard_of_user(5));
  expect_shard(
      "WITH x AS (UPDATE media SET caption = 'x' WHERE user_id = 5 RETURNING user_id) "
      "DELETE FROM likes USING x WHERE likes.user_id = x.user_id",
      shard_of_user(5));
  expect_refusal("UPDATE media SET caption = u.name FROM users u WHERE u.user_id = 5", "MZ010",
                 "nothing ties");
  expect_refusal(
      "MERGE INTO media USING users u ON media.user_id = u.user_id AND u.user_id = 5 WHEN MATCHED THEN DO "
      "NOTHING",
      "0A000", "ON CONFLICT");
}

TEST(RouteWrite, tells_reads_from_writes_and_locks) {
  EXPECT_TRUE(route_text("SELECT * FROM media WHERE user_id = 5")->is_read);
  EXPECT_TRUE(route_text("EXPLAIN DELETE FROM media WHERE user_id = 5")->is_read);
  EXPECT_TRUE(route_text("EXPLAIN (ANALYZE off) DELETE FROM media WHERE user_id = 5")->is_read);
  for (const char* text :
       {"SELECT * FROM media WHERE user_id = 5 FOR UPDATE", "SELECT * FROM media WHERE user_id = 5 FOR SHARE",
        "SELECT f(1) FROM media WHERE user_id = 5", "SELECT next_id() FROM media WHERE user_id = 5",
        "EXPLAIN ANALYZE DELETE FROM media WHERE user_id = 5",
        "EXPLAIN (ANALYZE 1) DELETE FROM media WHERE user_id = 5",
        "WITH d AS (DELETE FROM media WHERE user_id = 5 RETURNING 1) SELECT 1"}) {
    EXPECT_FALSE(route_text(text)->is_read) << text;
  }
}

}  // namespace mosaic::routing
