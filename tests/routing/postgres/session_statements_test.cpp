// Statements about the session: what the proxy learns from them.

#include <gtest/gtest.h>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

const StatementPart& part_of(std::string_view text) { return analyze(text).plan->parts.at(0); }

std::string value_of(std::string_view text) {
  const AnalyzedStatement statement = analyze(text);
  const SettingChange& setting = *statement.plan->parts.at(0).setting;
  if (setting.value_first == setting.value_last) return "";
  const uint32_t begin = statement.tokens[setting.value_first].begin;
  return std::string(text.substr(begin, statement.tokens[setting.value_last - 1].end - begin));
}

}  // namespace

TEST(SessionStatements, are_told_apart) {
  const std::pair<const char*, StatementKind> examples[] = {
      {"BEGIN", StatementKind::kBegin},
      {"START TRANSACTION READ ONLY", StatementKind::kBegin},
      {"COMMIT", StatementKind::kCommit},
      {"END", StatementKind::kCommit},
      {"ROLLBACK", StatementKind::kRollback},
      {"ABORT", StatementKind::kRollback},
      {"SAVEPOINT a", StatementKind::kSavepoint},
      {"RELEASE a", StatementKind::kRelease},
      {"ROLLBACK TO SAVEPOINT a", StatementKind::kRollbackTo},
      {"PREPARE TRANSACTION 'x'", StatementKind::kPrepareTransaction},
      {"COMMIT PREPARED 'x'", StatementKind::kPrepareTransaction},
      {"SET x = 1", StatementKind::kSet},
      {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", StatementKind::kSetTransaction},
      {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", StatementKind::kSetTransaction},
      {"RESET x", StatementKind::kReset},
      {"SET x TO DEFAULT", StatementKind::kReset},
      {"SHOW x", StatementKind::kShow},
      {"DISCARD ALL", StatementKind::kDiscard},
      {"DEALLOCATE PREPARE a", StatementKind::kDeallocate},
      {"PREPARE a AS SELECT 1", StatementKind::kPrepare},
      {"EXECUTE a", StatementKind::kExecute},
      {"LISTEN a", StatementKind::kSessionState},
      {"DECLARE c CURSOR FOR SELECT 1", StatementKind::kQuery},
      {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", StatementKind::kSessionState},
      {"FETCH 3 FROM c", StatementKind::kUtility},
      {"CLOSE c", StatementKind::kUtility},
      {"DO 'begin end'", StatementKind::kUtility},
      {"CREATE TABLE t (a int)", StatementKind::kDdl},
      {"CREATE TEMP TABLE t (a int)", StatementKind::kSessionState},
      {"SELECT 1", StatementKind::kQuery},
      {"EXPLAIN SELECT 1", StatementKind::kQuery},
      {"SELEC", StatementKind::kInvalid},
      {"SELECT 'a", StatementKind::kInvalid},
      {"COPY t FROM STDIN", StatementKind::kCopyIn},
      {"COPY t TO STDOUT", StatementKind::kCopyOut},
      {"COPY t FROM '/x'", StatementKind::kUtility},
  };
  for (const auto& [text, kind] : examples) EXPECT_EQ(part_of(text).kind, kind) << text;
  EXPECT_TRUE(analyze("").plan->parts.empty());
  EXPECT_TRUE(analyze(" ; ; -- nothing").plan->parts.empty());
}

TEST(SessionStatements, give_the_names_they_are_about) {
  EXPECT_EQ(part_of("SAVEPOINT \"A b\"").name, "A b");
  EXPECT_EQ(part_of("ROLLBACK TO a").name, "a");
  EXPECT_EQ(part_of("DEALLOCATE x").name, "x");
  EXPECT_EQ(part_of("DEALLOCATE ALL").name, "");
  EXPECT_EQ(part_of("SHOW Server_Version").name, "server_version");
  EXPECT_EQ(part_of("SHOW TIME ZONE").name, "timezone");
  EXPECT_EQ(part_of("SHOW ALL").name, "all");
  EXPECT_EQ(part_of("DISCARD PLANS").name, "plans");
}

TEST(SessionStatements, know_which_transactions_share_a_snapshot) {
  EXPECT_FALSE(part_of("BEGIN").keeps_snapshot);
  EXPECT_FALSE(part_of("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").keeps_snapshot);
  EXPECT_TRUE(part_of("BEGIN ISOLATION LEVEL REPEATABLE READ").keeps_snapshot);
  EXPECT_TRUE(
      part_of("START TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE, DEFERRABLE").keeps_snapshot);
}

TEST(SessionStatements, read_settings_and_their_values) {
  struct Example {
    const char* text;
    const char* name;
    const char* value;
    bool is_local;
  };
  for (const Example& example : {
           Example{"SET search_path = a, \"B\"", "search_path", "a, \"B\"", false},
           Example{"SET SESSION Work_Mem TO '4MB'", "work_mem", "'4MB'", false},
           Example{"SET LOCAL mosaic.shard = 42", "mosaic.shard", "42", true},
           Example{"SET mosaic.user_id TO -5", "mosaic.user_id", "-5", false},
           Example{"SET TIME ZONE 'UTC'", "timezone", "'UTC'", false},
           Example{"SET LOCAL TIME ZONE INTERVAL '1' HOUR", "timezone", "INTERVAL '1' HOUR", true},
           Example{"SET NAMES 'UTF8'", "client_encoding", "'UTF8'", false},
           Example{"SET ROLE x", "role", "x", false},
           Example{"SET SESSION ROLE x", "role", "x", false},
           Example{"SET SESSION AUTHORIZATION 'x'", "session_authorization", "'x'", false},
           Example{"SET SESSION SESSION AUTHORIZATION x", "session_authorization", "x", false},
           Example{"SET SCHEMA 'x'", "search_path", "'x'", false},
           Example{"SET XML OPTION DOCUMENT", "xmloption", "DOCUMENT", false},
           Example{"SET local.x = 1", "local.x", "1", false},
           Example{"SELECT set_config('Mosaic.Shard', '42', true)", "mosaic.shard", "'42'", true},
           Example{"SELECT pg_catalog.set_config('search_path', '', false)", "search_path", "''", false},
       }) {
    SCOPED_TRACE(example.text);
    const StatementPart& part = part_of(example.text);
    ASSERT_EQ(part.kind, StatementKind::kSet);
    EXPECT_FALSE(part.refusal);
    EXPECT_EQ(part.setting->name, example.name);
    EXPECT_EQ(part.setting->is_local, example.is_local);
    EXPECT_EQ(value_of(example.text), example.value);
  }
  EXPECT_EQ(part_of("RESET mosaic.shard").setting->name, "mosaic.shard");
  EXPECT_EQ(part_of("RESET ALL").setting->kind, SettingChange::Kind::kResetAll);
  EXPECT_EQ(part_of("SET TIME ZONE LOCAL").setting->kind, SettingChange::Kind::kReset);
  const StatementPart& bound = part_of("SELECT set_config('a.b', $2, false)");
  EXPECT_TRUE(bound.setting->is_set_config);
  EXPECT_EQ(bound.setting->value_parameter, (KeySource{KeySource::Kind::kParameter, 1}));
  EXPECT_EQ(part_of("SELECT set_config($1, 'x', false)").kind, StatementKind::kQuery);
}

// The plan depends on the literals here: the cache must not give one text's plan to the other.
TEST(SessionStatements, do_not_mix_up_settings_of_equal_shape) {
  EXPECT_EQ(part_of("SELECT set_config('one', 'x', false)").setting->name, "one");
  EXPECT_EQ(part_of("SELECT set_config('two', 'x', false)").setting->name, "two");
  EXPECT_EQ(part_of("SELECT set_config('one', 'x', false)").setting->name, "one");
  EXPECT_FALSE(part_of("SET client_encoding = 'LATIN1'").refusal);
  EXPECT_TRUE(part_of("SET client_encoding = 'SJIS'").refusal);
}

TEST(SessionStatements, refuse_what_would_make_mosaic_and_the_server_disagree) {
  for (const char* text :
       {"SET client_encoding = SJIS", "SET NAMES 'shift_jis'", "SET client_encoding TO 'BIG5'",
        "SELECT set_config('client_encoding', 'GBK', false)"}) {
    expect_refusal(text, "0A000", "Use UTF8");
  }
  for (const char* text :
       {"SET standard_conforming_strings = on", "SET standard_conforming_strings = off",
        "SET client_encoding = 'LATIN1'", "SET search_path = x", "RESET standard_conforming_strings"}) {
    EXPECT_FALSE(part_of(text).refusal) << text;
  }
}

TEST(SessionStatements, look_at_a_value_when_it_is_bound) {
  constexpr const char* kText = "SELECT set_config('Client_Encoding', $2, false)";
  const auto with_value = [](std::string_view value, bool is_null = false) {
    const Parameter parameters[] = {{}, {.is_null = is_null, .bytes = value}};
    return route(analyze(kText), Parameters(parameters), {}, sample_catalog(), kAnywhere);
  };
  EXPECT_TRUE(route_text(kText));  // as Describe asks, before any value is known
  for (const char* value : {"UTF8", "latin1", "EUC_JP", "no such encoding", ""})
    EXPECT_TRUE(with_value(value)) << value;
  EXPECT_TRUE(with_value("", true));
  for (const char* value : {"SJIS", "big5", "Shift_JIS_2004", "win-936", "GB18030", "johab"}) {
    const auto decided = with_value(value);
    ASSERT_FALSE(decided) << value;
    EXPECT_EQ(decided.error().sqlstate, "0A000");
    EXPECT_NE(decided.error().to_line().find(value), std::string::npos);
  }
}

TEST(SessionStatements, cursors_follow_their_query) {
  expect_shard("DECLARE c CURSOR FOR SELECT * FROM media WHERE user_id = 5", shard_of_user(5));
  EXPECT_FALSE(part_of("DECLARE c CURSOR FOR SELECT 1").is_free);
  EXPECT_FALSE(part_of("FETCH ALL FROM c").is_free);
  expect_any_node("FETCH ALL FROM c");
}

TEST(CopyAnalysis, finds_the_key_column_and_the_format) {
  const StatementPart& text = part_of("COPY media (id, user_id) FROM STDIN");
  EXPECT_TRUE(text.copy->is_sharded);
  EXPECT_EQ(sample_catalog().tables()[text.copy->table].name, "media");
  EXPECT_EQ(text.copy->column_count, 2);
  EXPECT_EQ(text.copy->key_column, 1);
  EXPECT_EQ(text.copy->format, CopyTarget::Format::kText);
  EXPECT_EQ(text.copy->delimiter, '\t');
  EXPECT_EQ(text.copy->null_text, "\\N");

  const StatementPart& all = part_of("COPY media FROM STDIN");
  EXPECT_EQ(all.copy->column_count, 4);
  EXPECT_EQ(all.copy->key_column, 1);
  EXPECT_EQ(part_of("COPY events FROM STDIN").copy->key_column, -1);

  const StatementPart& csv = part_of(
      "COPY media FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'nil', QUOTE '\"', ESCAPE '\\')");
  EXPECT_EQ(csv.copy->format, CopyTarget::Format::kCsv);
  EXPECT_TRUE(csv.copy->has_header);
  EXPECT_EQ(csv.copy->delimiter, ';');
  EXPECT_EQ(csv.copy->null_text, "nil");
  EXPECT_EQ(csv.copy->quote, '"');
  EXPECT_EQ(csv.copy->escape, '\\');

  const StatementPart& old = part_of("COPY media FROM STDIN CSV QUOTE '%'");
  EXPECT_EQ(old.copy->format, CopyTarget::Format::kCsv);
  EXPECT_EQ(old.copy->delimiter, ',');
  EXPECT_EQ(old.copy->null_text, "");
  EXPECT_EQ(old.copy->quote, '%');
  EXPECT_EQ(old.copy->escape, '%');
  EXPECT_FALSE(old.copy->has_header);
  EXPECT_EQ(part_of("COPY BINARY media FROM STDIN").copy->format, CopyTarget::Format::kBinary);
  // Same shape, other delimiter.
  EXPECT_EQ(part_of("COPY media FROM STDIN DELIMITER '|'").copy->delimiter, '|');
  EXPECT_EQ(part_of("COPY media FROM STDIN DELIMITER '!'").copy->delimiter, '!');
}

TEST(CopyAnalysis, is_routed_by_its_first_rows_key) {
  expect_shard("COPY media FROM STDIN", shard_of_user(5), {Hint::Kind::kKey, "5"});
  expect_refusal("COPY media FROM STDIN", "MZ010", "");
  expect_refusal("COPY media (caption) FROM STDIN", "MZ010", "Name the columns");
  expect_refusal("COPY media TO '/x'", "0A000", "\\copy");
  expect_refusal("COPY media FROM PROGRAM 'x'", "0A000", "\\copy");
  expect_shard("COPY (SELECT * FROM media WHERE user_id = 5) TO STDOUT", shard_of_user(5));
  expect_any_node("COPY countries TO STDOUT");
  expect_refusal("COPY countries FROM STDIN", "MZ015", "every node");
}

}  // namespace mosaic::routing
