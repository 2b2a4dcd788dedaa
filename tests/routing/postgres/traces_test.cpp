// What statements may leave behind in a server session, and what ties a client to its server.

#include <gtest/gtest.h>

#include "routing/postgres/function_classes.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

const StatementPart& part_of(std::string_view text) { return analyze(text).plan->parts.at(0); }

Definition function(std::string name, std::string source) {
  return {Definition::Kind::kFunction, std::move(name), std::move(source), {}, {}, false};
}

bool is_clean(std::string source) {
  const FunctionClasses classes({function("f", std::move(source))}, {"array_append"});
  return classes.traces_of_call("f", "").is_empty();
}

// A catalog on which these things are defined.
CatalogSnapshot catalog_with(const std::vector<Definition>& definitions) {
  CatalogSnapshot::Parts parts = sample_parts();
  parts.functions = std::make_shared<const FunctionClasses>(definitions, std::vector<std::string>());
  return CatalogSnapshot(std::move(parts));
}

Traces traces_with(const CatalogSnapshot& catalog, std::string_view text) {
  Router router{RouterLimits{}};
  return router.analyze(text, catalog).plan->parts.at(0).traces;
}

}  // namespace

TEST(Traces, are_told_from_built_in_functions) {
  for (const char* text :
       {"SELECT 1", "SELECT now(), lower('A'), count(*) FROM unlisted", "SELECT pg_notify('a', 'b')",
        "SELECT set_config('a', 'b', true), 1", "SELECT set_config('a', 'b', false)",
        "SELECT pg_advisory_xact_lock(1)", "SELECT lo_open(1, 2)", "SELECT pg_catalog.txid_current()",
        "SELECT pg_stat_reset()", "BEGIN", "LISTEN a", "NOTIFY a", "UNLISTEN *", "LOCK TABLE unlisted",
        "INSERT INTO media (user_id) VALUES (1)", "COPY media FROM STDIN", "DISCARD ALL",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT pg_advisory_unlock(1)"}) {
    EXPECT_TRUE(part_of(text).traces.is_empty()) << text;
  }
  for (const char* text : {"SELECT f()",
                           "SELECT * FROM f() WHERE true",
                           "SELECT other.lower('x')",
                           "SELECT setseed(0.5)",
                           "SELECT 1 ORDER BY dblink_connect('x')",
                           "INSERT INTO unlisted VALUES (f())",
                           "CALL p()",
                           "SELECT set_config(name, 'b', false) FROM unlisted",
                           "UPDATE pg_settings SET setting = 1",
                           "UPDATE pg_catalog.pg_settings SET setting = 1",
                           "SELECT pg_advisory_lock(1)",
                           "SELECT query_to_xml('SELECT 1', true, true, '')",
                           "LOAD 'x'",
                           "CREATE TABLE t (a int)",
                           "CREATE EXTENSION citext",
                           "REFRESH MATERIALIZED VIEW v",
                           "DO $$ BEGIN PERFORM f(); END $$",
                           "DO LANGUAGE plpython3u 'x'",
                           "WITH a AS (SELECT f()) SELECT 1",
                           "DECLARE c CURSOR FOR SELECT f()",
                           "COPY (SELECT f()) TO STDOUT",
                           "EXPLAIN ANALYZE SELECT f()",
                           "VALUES (f())",
                           "DELETE FROM media WHERE user_id = 1 RETURNING f()"}) {
    EXPECT_TRUE(part_of(text).may_leave_traces()) << text;
  }
}

TEST(Traces, of_sequences_are_a_kind_of_their_own) {
  EXPECT_EQ(part_of("SELECT nextval('s')").traces, Traces{Trace::kSequences});
  EXPECT_EQ(part_of("SELECT setval('s', 1)").traces, Traces{Trace::kSequences});
  EXPECT_EQ(part_of("SELECT lastval()").traces, Traces{Trace::kReadsSequences});
  EXPECT_EQ(part_of("INSERT INTO unlisted VALUES (currval('s'))").traces, Traces{Trace::kReadsSequences});
  EXPECT_EQ(part_of("/* mosaic shard=3 */ SELECT next_id()").traces, Traces{Trace::kSequences});
}

TEST(Traces, blocks_are_read_like_functions) {
  for (const char* text :
       {"DO $$ BEGIN PERFORM 1; END $$", "DO 'BEGIN SET LOCAL x = 1; END' LANGUAGE plpgsql",
        "DO $$ BEGIN UPDATE unlisted SET a = 1; END $$"}) {
    EXPECT_TRUE(part_of(text).traces.is_empty()) << text;
  }
  EXPECT_TRUE(part_of("DO $$ BEGIN SET statement_timeout = '77s'; END $$").may_leave_traces());
  // One shape, two blocks: the plan holds for its text only.
  EXPECT_TRUE(part_of("DO $$ BEGIN LISTEN x; END $$").may_leave_traces());
  EXPECT_TRUE(part_of("DO $$ BEGIN PERFORM 1; END $$").traces.is_empty());
}

TEST(Traces, clean_functions_have_clean_bodies) {
  for (const char* source : {
           "SELECT 1",
           "BEGIN RETURN lower(new.name); END",
           "BEGIN NEW.changed_at := now(); RETURN NEW; END",
           "BEGIN INSERT INTO log (a, b) VALUES (1, 2); RETURN NULL; END",
           "BEGIN INSERT INTO t AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded.a; END",
           "BEGIN INSERT INTO public.t (a) VALUES (1) ON CONFLICT DO NOTHING; END",
           "BEGIN SET LOCAL search_path = a; PERFORM set_config('a', 'b', true); END",
           "BEGIN SET CONSTRAINTS ALL IMMEDIATE; SET TRANSACTION READ ONLY; END",
           "DECLARE a numeric(10, 2); b character varying(3); BEGIN IF (a > 1) THEN RETURN a; END IF; END",
           "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT array_append('{}', n) "
           "FROM r",
           "BEGIN RAISE EXCEPTION 'SET x = 1; LISTEN y' USING ERRCODE = 'MZ010'; END",
           "BEGIN -- SET x = 1\n /* LISTEN y */ RETURN QUERY (SELECT new.temp, old.\"reset\"); END",
           "BEGIN PERFORM pg_notify('x', 'y'), pg_advisory_xact_lock(1); END",
           "BEGIN IF a THEN UPDATE t SET b = 1; ELSE UPDATE t SET c = CASE WHEN d THEN 1 END; END IF; END",
       }) {
    EXPECT_TRUE(is_clean(source)) << source;
  }
}

TEST(Traces, are_left_by_all_that_touches_the_session) {
  for (const char* source : {
           "BEGIN SET x = 1; END",
           "begin Set Role someone; end",
           "BEGIN SET SESSION AUTHORIZATION a; END",
           "BEGIN SET local = 1; END",
           "BEGIN UPDATE t SET a = 1; SET x = 1; END",
           "BEGIN FOR r IN SELECT 1 FROM t FOR UPDATE LOOP SET x = 1; END LOOP; END",
           "BEGIN RESET x; END",
           "BEGIN PERFORM set_config('a', t, false); END",
           "BEGIN PERFORM set_config('a', 'b', is_local); END",
           "BEGIN PERFORM set_config('a', 'true', NOT true); END",
           "BEGIN LISTEN x; END",
           "BEGIN UNLISTEN x; END",
           "BEGIN PREPARE p AS SELECT 1; END",
           "BEGIN DEALLOCATE ALL; END",
           "BEGIN CREATE TEMP TABLE t (a int); END",
           "BEGIN CREATE TABLE pg_temp.t (a int); END",
           "SELECT 1 INTO TEMPORARY t",
           "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
           "BEGIN DISCARD ALL; END",
           "BEGIN LOAD 'x'; END",
           "BEGIN PERFORM pg_advisory_lock(1); END",
           "BEGIN PERFORM pg_catalog.pg_try_advisory_lock_shared(1); END",
           "BEGIN PERFORM pg_advisory_unlock_all(); END",
           "BEGIN EXECUTE 'SELECT 1'; END",
           "BEGIN PERFORM dblink_connect('x'); END",
           "BEGIN PERFORM unheard_of(1); END",
           "BEGIN PERFORM \"Unheard\"(1); END",
           "BEGIN UPDATE pg_settings SET setting = 1; END",
           "BEGIN UPDATE pg_catalog.pg_settings SET setting = 1; END",
           "BEGIN DO 'BEGIN SET x = 1; END'; END",
           "SELECT 'unterminated",
       }) {
    EXPECT_FALSE(is_clean(source)) << source;
  }
}

TEST(Traces, follow_calls_from_function_to_function) {
  const FunctionClasses classes(
      {function("top", "SELECT middle(1)"),
       function("middle", "SELECT bottom()"),
       function("bottom", "SELECT set_config('a', 'b', false)"),
       function("even", "SELECT odd()"),
       function("odd", "SELECT even()"),
       function("overloaded", "SELECT 1"),
       function("overloaded", "BEGIN LISTEN x; END"),
       function("lower", "BEGIN RESET ALL; END"),
       function("dotted", "SELECT r.bottom FROM t r"),
       function("counts", "INSERT INTO t VALUES (nextval('s'))"),
       {Definition::Kind::kFunction, "compiled", "", {}, {}, true},
       {Definition::Kind::kFunction, "agg", "", {"top"}, {}, false},
       {Definition::Kind::kFunction, "plain_agg", "", {"lower_of"}, {}, false},
       {Definition::Kind::kFunction, "locking_agg", "", {"pg_advisory_lock"}, {}, false}},
      {"lower_of"});
  for (const char* name : {"top", "middle", "bottom", "overloaded", "lower", "dotted", "compiled", "agg",
                           "locking_agg", "unheard_of"})
    EXPECT_TRUE(classes.traces_of_call(name, "").has(Trace::kUnknown)) << name;
  for (const char* name : {"even", "odd", "plain_agg", "upper"})
    EXPECT_TRUE(classes.traces_of_call(name, "").is_empty()) << name;
  EXPECT_EQ(classes.traces_of_call("counts", ""), Traces{Trace::kSequences});
  EXPECT_TRUE(classes.traces_of_call("lower", "pg_catalog").is_empty()) << "the schema says which is meant";
  EXPECT_TRUE(classes.traces_of_call("even", "other").is_empty()) << "schemas are not told apart";
}

TEST(Traces, of_relations_are_those_of_what_reading_and_writing_runs) {
  using Kind = Definition::Kind;
  const CatalogSnapshot catalog = catalog_with({
      function("dirty", "BEGIN SET x = 1; RETURN NEW; END"),
      function("writer", "INSERT INTO audited VALUES (1)"),
      function("&&&", "SELECT dirty()"),
      function("checked_text", "VALUE <> dirty()"),
      {Kind::kRelationWrite, "audited", "", {"dirty"}, {}, false},
      {Kind::kRelationWrite, "media", "nextval('s'::regclass)", {}, {}, false},
      {Kind::kRelationWrite, "parent", "", {}, {"audited"}, false},
      {Kind::kRelationRead, "spy", "SELECT dirty() FROM unlisted", {}, {}, false},
      {Kind::kRelationRead, "over", "SELECT * FROM spy", {}, {}, false},
      {Kind::kRelationRead, "harmless", "SELECT a FROM audited", {}, {}, false},
  });
  for (const char* text :
       {"INSERT INTO audited VALUES (1)", "UPDATE audited SET a = 1", "COPY audited FROM STDIN",
        "DELETE FROM other.audited", "DELETE FROM parent", "SELECT * FROM spy", "TABLE over",
        "SELECT 1 FROM unlisted WHERE EXISTS (SELECT 1 FROM spy)", "SELECT writer()", "SELECT 1 &&& 2",
        "SELECT u.dirty FROM unlisted u", "SELECT (u).dirty FROM unlisted u", "SELECT 'x'::checked_text",
        "DO $$ BEGIN INSERT INTO audited VALUES (1); END $$",
        "WITH gone AS (DELETE FROM audited RETURNING 1) SELECT 1"}) {
    EXPECT_TRUE(traces_with(catalog, text).has(Trace::kUnknown)) << text;
  }
  for (const char* text : {"SELECT * FROM audited", "SELECT * FROM harmless",
                           "INSERT INTO unlisted VALUES (1)", "SELECT * FROM parent", "SELECT 1 && 2",
                           "SELECT dirty FROM unlisted", "SELECT * FROM media WHERE user_id = 1"}) {
    EXPECT_TRUE(traces_with(catalog, text).is_empty()) << text;
  }
  EXPECT_EQ(traces_with(catalog, "INSERT INTO media (user_id) VALUES (1)"), Traces{Trace::kSequences});
}

TEST(Traces, of_a_server_that_was_not_read_are_unknown) {
  CatalogSnapshot::Parts parts = sample_parts();
  parts.functions = nullptr;
  const CatalogSnapshot catalog(std::move(parts));
  EXPECT_TRUE(traces_with(catalog, "SELECT * FROM unlisted").has(Trace::kUnknown));
  EXPECT_TRUE(traces_with(catalog, "INSERT INTO media (user_id) VALUES (1)").has(Trace::kUnknown));
  EXPECT_TRUE(traces_with(catalog, "SELECT lower('x')").is_empty());
  EXPECT_NE(catalog.tables_fingerprint(), sample_catalog().tables_fingerprint()) << "plans are made anew";
}

TEST(Traces, pins_have_reasons) {
  const std::pair<const char*, Pins> examples[] = {
      {"LISTEN a", {Pin::kListen}},
      {"LOAD 'x'", {Pin::kLibrary}},
      {"CREATE TEMP TABLE t (a int)", {Pin::kTemporary}},
      {"CREATE TABLE pg_temp.t (a int)", {Pin::kTemporary}},
      {"CREATE TEMP VIEW v AS SELECT 1", {Pin::kTemporary}},
      {"CREATE TEMP SEQUENCE s", {Pin::kTemporary}},
      {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", {Pin::kTemporary}},
      {"CREATE TYPE pg_temp.e AS ENUM ('a')", {Pin::kTemporary}},
      {"CREATE TYPE pg_temp.c AS (a int)", {Pin::kTemporary}},
      {"CREATE STATISTICS pg_temp.st ON a, b FROM countries", {Pin::kTemporary}},
      {"CREATE CONVERSION pg_temp.c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8", {Pin::kTemporary}},
      {"CREATE OPERATOR FAMILY pg_temp.f USING btree", {Pin::kTemporary}},
      {"CREATE TABLE pg_temp.t AS SELECT 1", {Pin::kTemporary}},
      {"SELECT 1 AS a INTO TEMP t", {Pin::kTemporary}},
      {"INSERT INTO pg_temp.t VALUES (1)", {Pin::kTemporary}},
      {"CREATE TEMP TABLE t (a int) ON COMMIT DROP", {Pin::kTemporary}},
      {"CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1", {Pin::kTemporary}},
      {"CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS", {Pin::kTemporary}},
      {"CREATE TABLE t (a int)", {}},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", {}},
      {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", {Pin::kHoldCursor}},
      {"DECLARE c CURSOR FOR SELECT 1", {}},
      {"SELECT pg_advisory_lock(1)", {Pin::kSessionLock}},
      {"SELECT 1 FROM unlisted WHERE pg_try_advisory_lock_shared(1, 2)", {Pin::kSessionLock}},
      {"SELECT pg_advisory_xact_lock(1)", {}},
      {"SELECT set_config('a', 'b', false) FROM pg_show_all_settings()", {}},
      {"SELECT set_config('a', 'b', true) FROM pg_show_all_settings()", {}},
      {"UPDATE pg_settings SET setting = 'x' WHERE name = 'y'", {Pin::kSetting}},
      {"SELECT set_config('a', 'b', false), pg_advisory_lock(1)", {Pin::kSessionLock}},
      {"SELECT f()", {}},
  };
  for (const auto& [text, pins] : examples) EXPECT_EQ(part_of(text).pins.bits(), pins.bits()) << text;
}

TEST(Traces, tell_which_statements_may_end_a_pin) {
  for (const char* text : {"UNLISTEN *", "UNLISTEN a", "CLOSE c", "CLOSE ALL", "DISCARD TEMP", "DISCARD ALL",
                           "DROP TABLE t", "DROP SCHEMA s CASCADE", "DROP OWNED BY r",
                           "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_all()", "SELECT f()",
                           "DO $$ BEGIN EXECUTE 'DROP TABLE t'; END $$", "CALL p()", "RESET ALL"}) {
    EXPECT_TRUE(part_of(text).may_release_pins) << text;
  }
  for (const char* text : {"SELECT 1", "INSERT INTO t VALUES (1)", "LISTEN a", "FETCH 1 FROM c", "RESET x"}) {
    EXPECT_FALSE(part_of(text).may_release_pins) << text;
  }
}

// What a session need not ask of a statement: nothing may be plain that any rule but routing looks at.
TEST(Traces, leave_plain_queries_alone) {
  for (const char* text :
       {"SELECT 1", "SELECT * FROM media WHERE user_id = 1", "VALUES (1)", "TABLE unlisted",
        "INSERT INTO media (user_id) VALUES (1)", "UPDATE media SET id = 1 WHERE user_id = 1",
        "EXPLAIN SELECT 1", "SELECT pg_advisory_xact_lock(1)", "DECLARE c CURSOR FOR SELECT 1"}) {
    EXPECT_TRUE(analyze(text).plan->is_plain) << text;
  }
  for (const char* text : {"",
                           "SELECT 1; SELECT 2",
                           "BEGIN",
                           "COMMIT",
                           "SET a = 1",
                           "RESET a",
                           "SHOW a",
                           "DISCARD ALL",
                           "CLOSE ALL",
                           "CLOSE c",
                           "PREPARE p AS SELECT 1",
                           "EXECUTE p",
                           "EXPLAIN EXECUTE p",
                           "DEALLOCATE p",
                           "COPY media FROM STDIN",
                           "SELECT set_config('a', 'b', false)",
                           "SELECT set_config('a', 'b', true)",
                           "SELECT set_config('a', 'b', false) FROM unlisted",
                           "UPDATE pg_settings SET setting = 'x'",
                           "SELECT f()",
                           "SELECT nextval('s')",
                           "SELECT lastval()",
                           "SELECT pg_advisory_lock(1)",
                           "SELECT pg_advisory_unlock(1)",
                           "CREATE TABLE t (a int)",
                           "SELECT 1 INTO t",
                           "LISTEN a",
                           "COMMIT PREPARED 'x'",
                           "no statement at all"}) {
    EXPECT_FALSE(analyze(text).plan->is_plain) << text;
  }
}

}  // namespace mosaic::routing
