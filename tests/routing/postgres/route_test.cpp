// Statement in, route or refusal out: the rules of routing as tables of examples.

#include "routing/postgres/route.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

TEST(Route, finds_the_key_of_user_five_in_every_form) {
  for (const char* text : {
           "SELECT * FROM media WHERE user_id = 5",
           "select * from media where 5 = user_id",
           "SELECT * FROM media m WHERE m.user_id = 5 AND caption = 'x' OR user_id = 5 AND id > 3",
           "SELECT * FROM public.media WHERE public.media.user_id=5",
           "SELECT * FROM photos.public.media WHERE media.user_id = '5'",
           "SELECT * FROM media WHERE user_id = 5::bigint",
           "SELECT * FROM media WHERE user_id = CAST('5' AS int)",
           "SELECT * FROM media WHERE user_id = bigint '5'",
           "SELECT * FROM media WHERE user_id = E'5'",
           "SELECT * FROM media WHERE user_id = $$5$$",
           "SELECT * FROM media WHERE user_id = $q$5$q$",
           "SELECT * FROM media WHERE user_id = - -5",
           "SELECT * FROM media WHERE user_id = -(-5)",
           "SELECT * FROM media WHERE user_id OPERATOR(pg_catalog.=) 5",
           "SELECT * FROM media WHERE user_id IN (5)",
           "SELECT * FROM media WHERE user_id IN (5, 5)",
           "SELECT * FROM media WHERE user_id = ANY('{5}')",
           "SELECT * FROM media WHERE user_id = ANY('{5,5}'::bigint[])",
           "SELECT * FROM media WHERE user_id = ANY(ARRAY[5])",
           "SELECT * FROM media WHERE user_id = ANY(ARRAY[5, '5']::bigint[])",
           "SELECT * FROM media WHERE user_id = 5 OR user_id = 5",
           "SELECT * FROM media WHERE (user_id, caption) = (5, 'x')",
           "SELECT * FROM media WHERE (user_id, id) IN ((5, 1), (5, 2))",
           "SELECT count(*) FROM media WHERE user_id=5 GROUP BY caption ORDER BY 1 LIMIT 3",
           "SELECT * FROM media AS m(a, b) WHERE b = 5",
       }) {
    expect_shard(text, shard_of_user(5));
  }
  expect_shard("SELECT * FROM media WHERE user_id = -5", shard_of_user(-5));
  expect_shard("SELECT * FROM media WHERE user_id = -9223372036854775808", shard_of_user(INT64_MIN));
}

TEST(Route, carries_the_key_over_joins_and_subqueries) {
  for (const char* text : {
           "SELECT * FROM users u JOIN media m ON u.user_id = m.user_id WHERE u.user_id = 5",
           "SELECT * FROM users u JOIN media m ON u.user_id = m.user_id WHERE m.user_id = 5",
           "SELECT * FROM users u, media m, likes l WHERE u.user_id = m.user_id AND l.user_id = m.user_id "
           "AND 5 = l.user_id",
           "SELECT * FROM users JOIN media USING (user_id) WHERE user_id = 5",
           "SELECT * FROM users NATURAL JOIN media WHERE user_id = 5",
           "SELECT * FROM users LEFT JOIN media USING (user_id) WHERE user_id = 5",
           "SELECT * FROM media RIGHT JOIN users USING (user_id) WHERE user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON u.user_id = m.user_id WHERE u.user_id = 5",
           "SELECT * FROM media m RIGHT JOIN users u ON u.user_id = m.user_id WHERE u.user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON m.user_id = 5 WHERE u.user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON u.user_id = m.user_id LEFT JOIN likes l ON l.user_id "
           "= m.user_id WHERE u.user_id = 5",
           "SELECT * FROM media m JOIN likes l ON l.id = m.id WHERE m.user_id = 5",
           "SELECT * FROM media m, countries c WHERE m.user_id = 5 AND c.code = m.caption",
           "SELECT * FROM users WHERE user_id = 5 AND EXISTS (SELECT 1 FROM media WHERE media.user_id = "
           "users.user_id)",
           "SELECT *, (SELECT count(*) FROM media m WHERE m.user_id = u.user_id) FROM users u WHERE "
           "u.user_id = 5",
           "SELECT * FROM users WHERE user_id = 5 AND NOT EXISTS (SELECT FROM media WHERE user_id = 5)",
           "SELECT * FROM users WHERE user_id IN (SELECT user_id FROM media WHERE user_id = 5 LIMIT 1)",
           "SELECT * FROM users WHERE user_id = 5 AND user_id IN (SELECT user_id FROM media)",
           "SELECT * FROM users WHERE user_id = (SELECT user_id FROM media WHERE user_id = 5 LIMIT 1)",
           "SELECT * FROM (SELECT user_id, caption FROM media) d WHERE d.user_id = 5",
           "SELECT * FROM (SELECT * FROM media) d WHERE user_id = 5",
           "SELECT * FROM (SELECT user_id AS who, count(*) FROM media GROUP BY user_id) d WHERE who = 5",
           "SELECT * FROM (SELECT user_id FROM media UNION ALL SELECT user_id FROM likes) d WHERE user_id = "
           "5",
           "SELECT * FROM (SELECT * FROM media WHERE user_id = 5 ORDER BY id LIMIT 3) d JOIN users u ON "
           "u.user_id = d.user_id",
           "SELECT * FROM users u, LATERAL (SELECT * FROM media m WHERE m.user_id = u.user_id LIMIT 3) m "
           "WHERE u.user_id = 5",
           "SELECT * FROM users u LEFT JOIN LATERAL (SELECT * FROM media m WHERE m.user_id = u.user_id LIMIT "
           "3) m ON true WHERE u.user_id = 5",
           "WITH m AS (SELECT * FROM media WHERE user_id = 5) SELECT * FROM m",
           "WITH m AS (SELECT * FROM media) SELECT * FROM m WHERE user_id = 5",
           "WITH m AS (SELECT * FROM media WHERE user_id = 5) SELECT * FROM m a, m b",
           "WITH m AS (SELECT * FROM media WHERE user_id = 5) SELECT * FROM m JOIN users u ON u.user_id = "
           "m.user_id",
           "WITH media AS (SELECT * FROM media WHERE user_id = 5) SELECT * FROM media",
           "WITH d AS (DELETE FROM media WHERE user_id = 5 RETURNING *) SELECT * FROM d",
           "WITH d AS (DELETE FROM media WHERE user_id = 5 RETURNING user_id) INSERT INTO likes (user_id) "
           "SELECT user_id FROM d",
           "SELECT * FROM media WHERE user_id = 5 UNION SELECT * FROM media WHERE user_id = 5",
           "SELECT * FROM (VALUES (5, 'x')) v(user_id, c) JOIN media m ON m.user_id = v.user_id",
           "SELECT * FROM (users u JOIN media m ON u.user_id = m.user_id) AS j(a, b, c) WHERE a = 5",
           "SELECT * FROM (users u JOIN media m USING (user_id)) AS j WHERE j.user_id = 5",
           "SELECT * FROM media TABLESAMPLE SYSTEM (10) WHERE user_id = 5",
       }) {
    expect_shard(text, shard_of_user(5));
  }
}

TEST(Route, refuses_what_does_not_tell_the_shard) {
  for (const char* text : {
           "SELECT * FROM media",
           "SELECT * FROM media WHERE caption = 'x'",
           "SELECT * FROM media WHERE user_id > 5",
           "TABLE media UNION ALL SELECT * FROM media WHERE user_id = 5",
           "SELECT * FROM media WHERE user_id <> 5",
           "SELECT * FROM media WHERE NOT user_id = 5",
           "SELECT * FROM media WHERE user_id = 5 OR caption = 'x'",
           "SELECT * FROM media WHERE user_id = abs(5)",
           "SELECT * FROM media WHERE user_id = 5 + 0",
           "SELECT * FROM media WHERE user_id::text = '5'",
           "SELECT * FROM media WHERE user_id = 5.0::int",
           "SELECT * FROM media WHERE user_id NOT IN (5)",
           "SELECT * FROM media WHERE user_id <> ALL('{5}')",
           "SELECT * FROM media WHERE user_id BETWEEN 5 AND 5",
           "SELECT * FROM media WHERE CASE WHEN user_id = 5 THEN true END",
           "SELECT (user_id = 5) FROM media",
           "SELECT * FROM media ORDER BY user_id = 5",
           "SELECT * FROM media GROUP BY user_id, id HAVING user_id = 5",
           "UPDATE media SET caption = 'x'",
           "UPDATE media SET user_id = 5",
           "DELETE FROM media WHERE caption IS NULL",
           "SELECT * FROM media FULL JOIN users ON media.user_id = users.user_id AND media.user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON u.user_id = 5 WHERE m.user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON u.user_id = m.user_id AND u.user_id = 5",
           "SELECT * FROM users u LEFT JOIN media m ON u.user_id = m.user_id AND m.user_id = 5",
           "SELECT * FROM users FULL JOIN media USING (user_id) WHERE user_id = 5",
           "SELECT * FROM users u, media m WHERE u.user_id = 5",
           "SELECT * FROM users u, media m WHERE u.user_id = 5 AND m.user_id = u.user_id + 0",
           "SELECT * FROM users u, media m WHERE u.user_id = 5 AND m.id = u.user_id",
           "SELECT * FROM users u, media m WHERE u.user_id = 5 AND (m.user_id = u.user_id OR m.caption = "
           "'x')",
           "SELECT * FROM users WHERE user_id = 5 AND EXISTS (SELECT 1 FROM media)",
           "SELECT * FROM users WHERE EXISTS (SELECT 1 FROM media WHERE media.user_id = 5)",
           "SELECT * FROM users WHERE user_id NOT IN (SELECT user_id FROM media WHERE user_id = 5)",
           "SELECT * FROM (SELECT * FROM media LIMIT 3) d WHERE user_id = 5",
           "SELECT * FROM (SELECT * FROM media OFFSET 3) d WHERE user_id = 5",
           "SELECT * FROM (SELECT user_id, row_number() OVER () FROM media) d WHERE user_id = 5",
           "SELECT * FROM (SELECT user_id, sum(1) OVER w FROM media WINDOW w AS (ORDER BY id)) d WHERE "
           "user_id = 5",
           "SELECT * FROM (SELECT DISTINCT ON (caption) * FROM media) d WHERE user_id = 5",
           "SELECT * FROM (SELECT max(user_id) AS user_id FROM media) d WHERE user_id = 5",
           "SELECT * FROM (SELECT user_id + 0 AS user_id FROM media) d WHERE user_id = 5",
           "SELECT * FROM (SELECT caption AS user_id FROM media) d WHERE user_id = '5'",
           "SELECT * FROM (SELECT id, user_id FROM media GROUP BY id) d WHERE user_id = 5",
           "SELECT * FROM (SELECT * FROM media FOR UPDATE) d WHERE user_id = 5",
           "WITH m AS (SELECT * FROM media) SELECT * FROM m a, m b WHERE a.user_id = 5",
           "WITH d AS (DELETE FROM media RETURNING *) SELECT * FROM d WHERE user_id = 5",
           "WITH RECURSIVE t AS (SELECT * FROM media UNION ALL SELECT * FROM t) SELECT * FROM t WHERE "
           "user_id = 5",
           "SELECT * FROM media m(a, b, c, d) WHERE user_id = 5",
           "SELECT * FROM media m WHERE user_id = ANY(ARRAY[5, abs(5)])",
           "SELECT * FROM generate_series(1, 3) AS user_id WHERE EXISTS (SELECT 1 FROM media WHERE caption = "
           "'x')",
           "SELECT next_id()",
           "INSERT INTO media (id, caption) VALUES (1, 'x')",
           "INSERT INTO media DEFAULT VALUES",
           "INSERT INTO media VALUES (DEFAULT)",
           "LOCK TABLE media",
           "VACUUM media",
           "COPY media (id, caption) FROM STDIN",
           "COPY media (user_id) FROM STDIN",
           "COPY media TO STDOUT",
       }) {
    expect_refusal(text, "MZ010", "mosaic user_id=123");
  }
}

TEST(Route, says_which_tables_the_join_does_not_tie) {
  expect_refusal("SELECT * FROM users u, media m WHERE u.user_id = 5", "MZ010",
                 "nothing ties \"media\" to the shard of \"users\"");
  expect_refusal("SELECT * FROM users u, media m WHERE u.user_id = 5", "MZ010",
                 "AND media.user_id = users.user_id");
  expect_refusal("SELECT * FROM media WHERE caption = 'x'", "MZ010",
                 "Add \"AND user_id = ...\" (the shard key of media) or \"id = ...\"");
}

TEST(Route, finds_rows_by_the_id_that_carries_their_shard) {
  const ShardId shard{42};
  for (const std::string& text : {
           fmt::format("SELECT * FROM media WHERE id = {}", id_on(shard)),
           fmt::format("DELETE FROM media WHERE id IN ({}, {})", id_on(shard), id_on(shard) + 1),
           fmt::format("UPDATE media SET caption = 'x' WHERE id = '{}'", id_on(shard)),
           fmt::format("SELECT * FROM media m JOIN likes l ON m.id = l.id WHERE l.id = {}", id_on(shard)),
       }) {
    expect_shard(text, shard);
    EXPECT_EQ(route_text(text)->reason, Route::Reason::kId);
  }
  // No row can have such an ID: any shard answers, and shard 0 is as good as any.
  for (const char* text : {"SELECT * FROM media WHERE id = -1", "DELETE FROM media WHERE id = 8388607"}) {
    expect_shard(text, ShardId{0});
  }
}

TEST(Route, qualifies_names_and_nothing_else) {
  const ShardId five = shard_of_user(5);
  expect_rewrite("SELECT media.caption, 'media' FROM media WHERE media.user_id = 5", five,
                 "SELECT media.caption, 'media' FROM S.media WHERE media.user_id = 5");
  expect_rewrite("SELECT m.* FROM Media/* media */m -- media\nWHERE user_id=5", five,
                 "SELECT m.* FROM S.media/* media */m -- media\nWHERE user_id=5");
  expect_rewrite("SELECT public.media.caption, public.media.* FROM public . media WHERE user_id=5", five,
                 "SELECT S.media.caption, S.media.* FROM S.media WHERE user_id=5");
  expect_rewrite("SELECT db.public.media.id FROM db.public.media WHERE user_id=5", five,
                 "SELECT S.media.id FROM S.media WHERE user_id=5");
  expect_rewrite("SELECT * FROM ONLY media JOIN \"users\" USING (user_id) WHERE user_id=5", five,
                 "SELECT * FROM ONLY S.media JOIN S.users USING (user_id) WHERE user_id=5");
  expect_rewrite("SELECT * FROM \"Odd \"\"table\"\"\" WHERE user_id=5", five,
                 "SELECT * FROM S.\"Odd \"\"table\"\"\" WHERE user_id=5");
  expect_rewrite(
      "INSERT INTO media (id, user_id) VALUES (next_id(), 5) ON CONFLICT (id) DO UPDATE SET caption = "
      "media.caption RETURNING id",
      five,
      "INSERT INTO S.media (id, user_id) VALUES (S.next_id(), 5) ON CONFLICT (id) DO UPDATE SET caption = "
      "media.caption RETURNING id");
  expect_rewrite("INSERT INTO media (id, user_id) SELECT public.next_id(), 5", five,
                 "INSERT INTO S.media (id, user_id) SELECT S.next_id(), 5");
  expect_rewrite("WITH users AS (SELECT 1 AS x) SELECT * FROM users, media WHERE user_id = 5", five,
                 "WITH users AS (SELECT 1 AS x) SELECT * FROM users, S.media WHERE user_id = 5");
  expect_rewrite("SELECT * FROM media, countries WHERE user_id = 5 FOR UPDATE OF media", five,
                 "SELECT * FROM S.media, countries WHERE user_id = 5 FOR UPDATE OF media");
  expect_rewrite(
      "EXPLAIN (ANALYZE, BUFFERS) UPDATE media SET caption = 'x' FROM users WHERE users.user_id = "
      "media.user_id AND media.user_id = 5",
      five,
      "EXPLAIN (ANALYZE, BUFFERS) UPDATE S.media SET caption = 'x' FROM S.users WHERE users.user_id = "
      "media.user_id AND media.user_id = 5");
  expect_rewrite("/* mosaic user_id=5 */ LOCK TABLE media, users", five,
                 "/* mosaic user_id=5 */ LOCK TABLE S.media, S.users");
  expect_rewrite("/* mosaic user_id=5 */ COPY media (id, user_id) FROM STDIN", five,
                 "/* mosaic user_id=5 */ COPY S.media (id, user_id) FROM STDIN");
  expect_rewrite("COPY (SELECT * FROM media WHERE user_id = 5) TO STDOUT", five,
                 "COPY (SELECT * FROM S.media WHERE user_id = 5) TO STDOUT");
}

}  // namespace mosaic::routing
