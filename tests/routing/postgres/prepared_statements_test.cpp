// PREPARE and EXECUTE of SQL: what a session learns of them, and how the inner statement is routed by the
// arguments of the outer.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "routing/postgres/execute_arguments.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

// "name|types|count|statement"
std::string prepared_by(std::string_view text) {
  const AnalyzedStatement statement = analyze(text);
  const StatementPart& part = statement.plan->parts.at(0);
  if (part.kind != StatementKind::kPrepare) return "no PREPARE";
  return part.name + "|" + std::string(text_of(statement, part.prepare->types)) + "|" +
         std::to_string(part.prepare->parameter_count) + "|" +
         std::string(text_of(statement, part.prepare->statement));
}

// "name: argument; argument", "?" before those that are no key.
std::string executed_by(std::string_view text) {
  const AnalyzedStatement statement = analyze(text);
  const StatementPart& part = statement.plan->parts.at(0);
  if (part.kind != StatementKind::kExecute) return "no EXECUTE";
  std::string all = part.name + ":";
  for (const ExecuteCall::Argument& argument : part.execute->arguments)
    all += (argument.value ? " " : " ?") + std::string(text_of(statement, argument.text)) + ";";
  return all;
}

// Where the inner statement goes with the arguments of the EXECUTE.
Result<Route> route_executed(std::string_view inner, std::string_view execute,
                             ClientEncoding encoding = ClientEncoding::kUtf8) {
  const AnalyzedStatement statement = analyze(execute);
  const auto arguments = ExecuteArguments::read(statement, statement.plan->parts.at(0), {}, encoding);
  if (!arguments) return arguments.error();
  Router inner_router(RouterLimits{});
  return route(inner_router.analyze(inner, sample_catalog()), arguments->parameters(), {}, sample_catalog(),
               kAnywhere, encoding);
}

void expect_executed_on(std::string_view inner, std::string_view execute, ShardId shard) {
  const auto decided = route_executed(inner, execute);
  ASSERT_TRUE(decided) << execute << ": " << decided.error().to_line();
  EXPECT_EQ(decided->shard, shard) << execute;
}

constexpr const char* kByUser = "SELECT * FROM media WHERE user_id = $1";

}  // namespace

TEST(SqlPrepare, tells_where_the_inner_statement_stands) {
  EXPECT_EQ(prepared_by("PREPARE q AS SELECT 1"), "q||0|SELECT 1");
  EXPECT_EQ(prepared_by("prepare Q (int, numeric(10, 2), text[]) as SELECT $2 /* x */ , $1 ;"),
            "q|int, numeric(10, 2), text[]|3|SELECT $2 /* x */ , $1");
  EXPECT_EQ(prepared_by("PREPARE \"Q x\"(pg_catalog.int8) AS INSERT INTO media (user_id) VALUES ($1)"),
            "Q x|pg_catalog.int8|1|INSERT INTO media (user_id) VALUES ($1)");
  EXPECT_EQ(prepared_by("PREPARE U&\"d!0061t\" UESCAPE '!' (int) AS SELECT $1"), "dat|int|1|SELECT $1");
  EXPECT_EQ(prepared_by("PREPARE q AS WITH a AS (SELECT $3::int) SELECT * FROM a"),
            "q||3|WITH a AS (SELECT $3::int) SELECT * FROM a");
  EXPECT_EQ(prepared_by("PREPARE a (timestamp with time zone) AS VALUES ($1)"),
            "a|timestamp with time zone|1|VALUES ($1)");
  // Of one shape, with other literals.
  EXPECT_EQ(prepared_by("PREPARE q AS SELECT * FROM media WHERE user_id = 5"),
            "q||0|SELECT * FROM media WHERE user_id = 5");
  EXPECT_EQ(prepared_by("PREPARE q AS SELECT * FROM media WHERE user_id = 12345"),
            "q||0|SELECT * FROM media WHERE user_id = 12345");
}

TEST(SqlExecute, tells_where_the_arguments_stand) {
  EXPECT_EQ(executed_by("EXECUTE q"), "q:");
  EXPECT_EQ(executed_by("execute Q(1, 'a', -5, NULL, $1)"), "q: 1; 'a'; -5; NULL; $1;");
  EXPECT_EQ(executed_by("EXECUTE \"Q\" (1 + 1, f(2, 3), ARRAY[1, 2], (SELECT 1), '5'::bigint, now())"),
            "Q: ?1 + 1; ?f(2, 3); ?ARRAY[1, 2]; ?(SELECT 1); '5'::bigint; ?now();");
  EXPECT_EQ(executed_by("EXPLAIN EXECUTE q(5)"), "q: 5;");
  EXPECT_EQ(executed_by("EXPLAIN (ANALYZE, COSTS off) EXECUTE q('x', 1)"), "q: 'x'; 1;");
  const AnalyzedStatement explained = analyze("EXPLAIN (COSTS off) EXECUTE q('x', 1)");
  EXPECT_TRUE(explained.plan->parts[0].execute->is_explained);
  EXPECT_EQ(text_of(explained, explained.plan->parts[0].execute->command), "EXECUTE q('x', 1)");
  EXPECT_FALSE(analyze("EXECUTE q('x', 1)").plan->parts[0].execute->is_explained);
}

TEST(SqlExecute, has_arguments_that_route_the_inner_statement) {
  expect_executed_on(kByUser, "EXECUTE q(5)", shard_of_user(5));
  expect_executed_on(kByUser, "EXECUTE q(-5)", shard_of_user(-5));
  expect_executed_on(kByUser, "EXECUTE q('5')", shard_of_user(5));
  expect_executed_on(kByUser, "EXECUTE q(E'\\x35')", shard_of_user(5));
  expect_executed_on(kByUser, "EXECUTE q('5'::bigint)", shard_of_user(5));
  expect_executed_on(kByUser, "EXECUTE q(5::int)", shard_of_user(5));
  expect_executed_on("SELECT * FROM media WHERE user_id = $2 AND caption = $1", "EXECUTE q(now()::text, 7)",
                     shard_of_user(7));
  expect_executed_on("SELECT * FROM media WHERE user_id = ANY($1)", "EXECUTE q('{5,5}')", shard_of_user(5));
  expect_executed_on("SELECT * FROM media WHERE user_id = 9", "EXECUTE q(1 + 1)", shard_of_user(9));
  const auto text = route_executed("SELECT * FROM accounts WHERE email = $1", "EXECUTE q('it''s')");
  KeyValue key;
  key.type = KeyType::kText;
  key.text = "it's";
  ASSERT_TRUE(text);
  EXPECT_EQ(text->shard, shard_of(ShardFunction::kXxh3, key, sample_catalog().shard_count()));
  key.text = "\xc3\xbc";
  EXPECT_EQ(
      route_executed("SELECT * FROM accounts WHERE email = $1", "EXECUTE q('\xfc')", ClientEncoding::kLatin1)
          ->shard,
      shard_of(ShardFunction::kXxh3, key, sample_catalog().shard_count()));
  EXPECT_TRUE(route_executed("SELECT * FROM devices WHERE device = $1",
                             "EXECUTE q('9b0e4e7c-52b5-4b0c-8f7e-1d1f3f1c9a11'::uuid)"));
}

TEST(SqlExecute, refuses_keys_that_only_a_server_can_tell) {
  for (const char* execute : {"EXECUTE q(1 + 1)", "EXECUTE q((SELECT 5))", "EXECUTE q(abs(-5))",
                              "EXECUTE q($1)", "EXECUTE q(5.7)", "EXECUTE q()", "EXECUTE q"}) {
    if (analyze(execute).plan->parts.at(0).kind == StatementKind::kInvalid) continue;
    const auto decided = route_executed(kByUser, execute);
    ASSERT_FALSE(decided) << execute;
    EXPECT_EQ(decided.error().sqlstate, "MZ016") << decided.error().to_line();
  }
  // A number for a text key: '05' is not '5'.
  const auto number = route_executed("SELECT * FROM accounts WHERE email = $1", "EXECUTE q(05)");
  ASSERT_FALSE(number);
  EXPECT_EQ(number.error().sqlstate, "MZ016");
  const AnalyzedStatement statement = analyze("EXECUTE q(now(), 1)");
  EXPECT_FALSE(ExecuteArguments::read(statement, statement.plan->parts[0], {})->has_all_values());
  const AnalyzedStatement whole = analyze("EXECUTE q(NULL, 1)");
  EXPECT_TRUE(ExecuteArguments::read(whole, whole.plan->parts[0], {})->has_all_values());
}

// Who routes them without knowing the statements of that name can only refuse.
TEST(SqlExecute, is_not_routed_by_itself) {
  for (const char* text : {"PREPARE a AS SELECT 1", "EXECUTE a", "EXECUTE a(5)", "EXPLAIN EXECUTE a",
                           "SELECT 1; EXECUTE a", "PREPARE a AS SELECT * FROM media WHERE user_id = 5"}) {
    expect_refusal(text, "0A000", "a query of its own");
  }
  expect_refusal("CREATE TABLE t AS EXECUTE a(5)", "0A000", "CREATE TABLE ... AS SELECT");
  expect_refusal("CREATE TEMP TABLE t AS EXECUTE a", "0A000", "CREATE TABLE ... AS SELECT");
}

}  // namespace mosaic::routing
