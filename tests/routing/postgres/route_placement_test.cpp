// Tables of every kind, catalogs, functions and definitions: which node, and which combinations can not be.

#include <gtest/gtest.h>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {
const StatementPart& part_of(std::string_view text) { return analyze(text).plan->parts.at(0); }
}  // namespace

TEST(RoutePlacement, sends_each_kind_of_table_to_its_node) {
  expect_any_node("SELECT * FROM countries");
  expect_any_node("SELECT 1");
  expect_node("SELECT * FROM settings", NodeId{1});
  expect_node("UPDATE settings SET x = 1", NodeId{1});
  expect_node("SELECT * FROM settings s JOIN countries c ON c.code = s.code", NodeId{1});
  expect_node("SELECT * FROM unlisted", NodeId{0});
  expect_node("SELECT * FROM unlisted, countries", NodeId{0});
  expect_node("SELECT * FROM other_schema.media", NodeId{0});
  expect_node("SELECT f(1)", NodeId{0});
  expect_node("SELECT * FROM f(1) AS media", NodeId{0});
  expect_node("SELECT * FROM countries FOR SHARE", NodeId{0});
  expect_node("CREATE TABLE unlisted (a int)", NodeId{0});
  expect_node("CREATE INDEX ON settings (a)", NodeId{1});
  expect_node("NOTIFY a, 'b'", NodeId{0});
  expect_node("SELEC 1", NodeId{0});
  expect_node("SELECT 'unterminated", NodeId{0});
}

TEST(RoutePlacement, refuses_one_statement_over_several_nodes) {
  expect_refusal("SELECT * FROM media, settings WHERE user_id = 5", "MZ015",
                 "\"settings\" is pinned to node pg2");
  expect_refusal("SELECT * FROM media, unlisted WHERE user_id = 5", "MZ015",
                 "\"unlisted\" lives on the default node");
  expect_refusal("SELECT * FROM settings, jobs", "MZ015", "pinned to node pg2 and \"jobs\" to node pg3");
  expect_refusal("SELECT * FROM settings, unlisted", "MZ015", "default node pg1");
  expect_refusal("INSERT INTO countries VALUES ('x')", "MZ015", "every node");
  expect_refusal("INSERT INTO countries SELECT caption FROM media WHERE user_id = 5", "MZ015", "every node");
  expect_refusal("ALTER TABLE countries ADD x int", "MZ015", "every node");
}

TEST(RoutePlacement, writes_reference_tables_while_there_is_one_node) {
  CatalogSnapshot::Parts parts = sample_parts();
  parts.node_names = {"pg1"};
  for (ShardPlace& place : parts.places) place.node = NodeId{0};
  const CatalogSnapshot one_node(std::move(parts));
  Router router(RouterLimits{});
  for (const char* text : {"INSERT INTO countries VALUES ('x')", "TRUNCATE countries"}) {
    const auto decided = route(router.analyze(text, one_node), {}, {}, one_node, NodeId{0});
    ASSERT_TRUE(decided) << decided.error().to_line();
    EXPECT_EQ(decided->target, Route::Target::kNode);
  }
}

TEST(RoutePlacement, refuses_definitions_of_sharded_tables) {
  for (const char* text :
       {"CREATE TABLE media (id int)", "ALTER TABLE media ADD x int", "CREATE INDEX ON media (caption)",
        "GRANT SELECT ON media TO x", "COMMENT ON TABLE media IS 'x'", "COMMENT ON COLUMN media.id IS 'x'",
        "CREATE TABLE t (m bigint REFERENCES media (id))", "DROP TRIGGER x ON media",
        "CREATE TRIGGER x AFTER INSERT ON media EXECUTE FUNCTION f()",
        "ALTER TABLE media RENAME caption TO title", "CREATE TABLE t (LIKE media)"}) {
    expect_refusal(text, "MZ015", "mosaic init CONFIG --schema FILE");
  }
}

TEST(RoutePlacement, sends_nobody_to_the_schema_file_in_vain) {
  for (const char* text :
       {"DROP TABLE unlisted, public.media", "TRUNCATE media",
        "CREATE INDEX CONCURRENTLY x ON public.media (id)", "CREATE VIEW v AS SELECT * FROM media",
        "CREATE TABLE t AS SELECT * FROM media WHERE user_id = 5",
        "SELECT * INTO t FROM media WHERE user_id = 5", "CREATE TEMP TABLE t AS SELECT * FROM media",
        "ALTER TABLE media RENAME TO m", "REINDEX TABLE media", "CLUSTER media"}) {
    expect_refusal(text, "MZ015", "run it for the \"media\" of each shard's schema");
  }
}

TEST(RoutePlacement, refuses_shard_schemas_by_name) {
  expect_refusal("SELECT * FROM shard_0007.media WHERE user_id = 5", "0A000",
                 "Write \"media\" without a schema");
  expect_refusal("INSERT INTO shard_0007.media (user_id) VALUES (5)", "0A000", "without a schema");
}

TEST(RoutePlacement, frees_catalog_reads_from_the_transaction) {
  for (const char* text : {
           "SELECT version()",
           "SHOW search_path",
           "SELECT current_schema(), current_database(), now()",
           "SELECT count(*), array_agg(x ORDER BY x) FROM generate_series(1, 3) x",
           "SELECT CURRENT_USER, CURRENT_TIMESTAMP",
           "SELECT * FROM countries",
           "VALUES (1), (2)",
           "SELECT current_setting('server_version_num')::int / 100.0",
       }) {
    EXPECT_TRUE(part_of(text).is_free) << text;
    expect_any_node(text);
  }
  for (const char* text : {
           // psql \d and \dt
           "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace "
           "n ON n.oid = "
           "c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(media)$' COLLATE pg_catalog.default AND "
           "pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3",
           "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT "
           "pg_catalog.pg_get_expr(d.adbin, d.adrelid, "
           "true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid) FROM pg_catalog.pg_attribute a "
           "WHERE a.attrelid = '16384'",
           // Django, SQLAlchemy, asyncpg, pg_dump
           "SELECT c.relname, CASE WHEN c.relispartition THEN 'p' ELSE 't' END, obj_description(c.oid) FROM "
           "pg_class c",
           "SELECT t.oid, typarray FROM pg_type t WHERE t.typname = 'hstore'",
           "WITH RECURSIVE typeinfo_tree(oid, ns) AS (SELECT oid, typnamespace FROM pg_type UNION ALL SELECT "
           "ti.oid, ti.typnamespace "
           "FROM pg_type ti, typeinfo_tree tt WHERE ti.oid = tt.oid) SELECT DISTINCT * FROM typeinfo_tree",
           "SELECT pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_relation_size(i.indexrelid) FROM "
           "pg_index i",
           "SELECT table_name FROM information_schema.tables",
           "SELECT to_regclass('media')",
           "SELECT 'media'::regclass::oid",
           "SELECT has_table_privilege('media', 'select')",
       }) {
    EXPECT_TRUE(part_of(text).is_free) << text;
    EXPECT_TRUE(part_of(text).is_read) << text;
    // OIDs mean something on one node only: the session says which, the default node or its transaction's.
    expect_any_node(text);
    EXPECT_EQ(route_text(text)->reason, Route::Reason::kCatalogRead) << text;
    expect_shard(std::string("/* mosaic shard=3 */ ") + text, ShardId{3});
  }
  for (const char* text :
       {"SELECT f(1)", "SELECT nextval('s')", "SELECT * FROM unlisted", "SELECT * FROM settings",
        "SELECT * FROM countries FOR UPDATE", "SELECT set_config('a', 'b', true), 1",
        "SELECT pg_notify('a', 'b')", "SELECT pg_advisory_xact_lock(1)", "SELECT other.version()",
        "SELECT * FROM media WHERE user_id = 5"}) {
    EXPECT_FALSE(part_of(text).is_free) << text;
  }
}

TEST(RoutePlacement, pins_sessions_that_leave_state_behind) {
  for (const char* text :
       {"LISTEN a", "LOAD 'x'", "CREATE TEMP TABLE t (a int)", "CREATE TEMP VIEW v AS SELECT 1",
        "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1, 2) FROM countries",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT set_config(name, 'b', false) FROM unlisted",
        "INSERT INTO pg_temp.t VALUES (1)", "SELECT 1 AS a INTO TEMP t"}) {
    EXPECT_TRUE(part_of(text).pins_session()) << text;
  }
  for (const char* text :
       {"UNLISTEN *", "SELECT pg_advisory_unlock_all()", "SELECT pg_advisory_xact_lock(1)",
        "DECLARE c CURSOR FOR SELECT 1", "SELECT set_config('a', 'b', true), 1", "CREATE TABLE t (a int)"}) {
    EXPECT_FALSE(part_of(text).pins_session()) << text;
  }
}

TEST(RoutePlacement, says_where_a_route_goes_and_why) {
  const auto to_text = [](std::string_view text) { return route_text(text)->to_text(sample_catalog()); };
  EXPECT_EQ(to_text("SELECT * FROM media WHERE id = 43008"), "shard 42 (shard_0042) on node pg1, by ID");
  EXPECT_EQ(to_text("/* mosaic shard=1 */ TABLE media"),
            "shard 1 (shard_0001) on node pg2, by hint in a comment");
  EXPECT_EQ(to_text("TABLE settings"), "node pg2, pinned table");
  EXPECT_EQ(to_text("TABLE countries"), "any node, reference table");
  EXPECT_EQ(to_text("SELECT 1"), "any node, no table");
}

}  // namespace mosaic::routing
