// Statements that drivers do not prepare and servers keep all the same, and what changed tables do to
// statements that servers keep.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using Intake = Session::Intake;
using testing::_;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* kText = "SELECT caption FROM media WHERE user_id = $1";

// One statement by the unnamed statement and portal, answered; returns what the server was sent.
std::vector<std::string> run_unnamed(SessionScript& s, int64_t user, const char* text = kText) {
  s.parse("", text);
  if (s.bind("", "", {std::to_string(user)}) == Intake::kLater) {
    s.grant();
    s.bind("", "", {std::to_string(user)});
  }
  s.execute();
  s.sync();
  std::vector<std::string> sent = s.to_server();
  for (const std::string& line : sent) {
    if (line.starts_with("Close")) s.server('3', {});
    if (line.starts_with("Parse")) s.server('1', {});
    if (line.starts_with("Bind")) s.server('2', {});
  }
  s.server_complete("SELECT 0");
  s.server_ready('I');
  s.lease_end();
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 0", "Ready I"));
  return sent;
}

// Users of as many different shards of the node.
std::vector<int64_t> users_of_shards(const SessionScript& s, size_t count) {
  std::map<std::string, int64_t> by_schema;
  for (int which = 0; by_schema.size() < count; ++which) {
    const int64_t user = s.user_on("pg1", which);
    by_schema.emplace(s.schema_of_user(user), user);
  }
  std::vector<int64_t> users;
  for (const auto& [schema, user] : by_schema) users.push_back(user);
  return users;
}

TEST(SessionPrepare, gives_servers_by_name_what_comes_often) {
  SessionScript s;
  s.environment.prepare_threshold = 3;
  const auto users = users_of_shards(s, 2);
  const int64_t user = users[0], other = users[1];
  EXPECT_THAT(run_unnamed(s, user), ElementsAre(StartsWith("Parse []"), StartsWith("Bind []"), _, "Sync"));
  EXPECT_THAT(run_unnamed(s, other), ElementsAre(StartsWith("Parse []"), StartsWith("Bind []"), _, "Sync"));
  EXPECT_THAT(run_unnamed(s, user),
              ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Bind [mosaic_"), _, "Sync"));
  EXPECT_THAT(run_unnamed(s, user), ElementsAre(StartsWith("Bind [mosaic_"), _, "Sync"));
  // The unnamed one is still that of the second.
  EXPECT_THAT(run_unnamed(s, other), ElementsAre(StartsWith("Bind []"), _, "Sync"));
}

TEST(SessionPrepare, does_not_when_told_never_to) {
  SessionScript s;
  const auto users = users_of_shards(s, 2);
  const int64_t user = users[0], other = users[1];
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(run_unnamed(s, user), Contains(StartsWith("Parse []")));
    EXPECT_THAT(run_unnamed(s, other), Contains(StartsWith("Parse []")));
  }
  EXPECT_EQ(s.memory.statements.size(), 0u);
}

TEST(SessionPrepare, keeps_only_queries) {
  SessionScript s;
  s.environment.prepare_threshold = 1;
  for (int i = 0; i < 3; ++i) {
    s.parse("", "LISTEN photos");
    if (s.bind("", "") == Intake::kLater) s.grant(), s.bind("", "");
    s.sync();
    EXPECT_THAT(s.answer({}, 'I'), Not(Contains(HasSubstr("mosaic_"))));
    s.answer_look("L");
    s.lease_end();
  }
}

// Statements on many shards must not push each other out before their next use.
TEST(SessionPrepare, admits_few_to_a_full_list) {
  SessionScript s;
  s.environment.prepare_threshold = 1;
  ASSERT_EQ(s.environment.max_prepared_statements, 3u);
  const auto users = users_of_shards(s, 4);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(run_unnamed(s, users[i]), Contains(StartsWith("Parse [mosaic_")));
  }
  int closed = 0, unnamed = 0;
  for (int i = 0; i < 32; ++i) {
    const auto sent =
        run_unnamed(s, users[3], i % 2 == 0 ? kText : "SELECT user_id FROM media WHERE user_id = $1");
    closed += static_cast<int>(
        std::count_if(sent.begin(), sent.end(), [](const auto& l) { return l.starts_with("Close"); }));
    unnamed += static_cast<int>(
        std::count_if(sent.begin(), sent.end(), [](const auto& l) { return l.starts_with("Parse []"); }));
    EXPECT_LE(s.memory.statements.size(), 3u);
  }
  EXPECT_EQ(closed, 1) << "once one of the two has its place, the other keeps the unnamed statement";
  EXPECT_GE(unnamed, 7);
}

TEST(SessionPrepare, parses_again_what_was_kept_from_before_a_schema_change) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  run_unnamed(s, user);
  EXPECT_THAT(run_unnamed(s, user), Not(Contains(StartsWith("Parse"))));
  s.statements.forget_schema();
  EXPECT_THAT(run_unnamed(s, user), Contains(StartsWith("Parse")));
}

TEST(SessionPrepare, learns_of_a_schema_change_from_the_error_of_a_stale_plan) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  const std::string stale = std::string("SERROR") + '\0' + "C0A000" + '\0' +
                            "Mcached plan must not change result type" + '\0' + "RRevalidateCachedQuery" +
                            '\0' + '\0';
  s.parse("old", kText);
  s.bind("", "old", {std::to_string(user)}), s.grant(), s.bind("", "old", {std::to_string(user)});
  s.execute(), s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_complete("SELECT 0"), s.server_ready('I');
  s.lease_end(), s.to_client();
  const auto fail_old = [&] {
    s.bind("", "old", {std::to_string(user)}), s.grant(), s.bind("", "old", {std::to_string(user)});
    s.execute(), s.sync();
    EXPECT_THAT(s.to_server(), Not(Contains(StartsWith("Parse"))))
        << "its result may have changed: the client must hear";
    s.server('E', stale), s.server_ready('I');
    s.lease_end();
    EXPECT_THAT(s.to_client(), ElementsAre(HasSubstr("0A000"), "Ready I"));
  };
  const uint64_t version = s.statements.schema_version();
  fail_old();
  EXPECT_EQ(s.statements.schema_version(), version + 1);
  EXPECT_EQ(s.environment.ddl_statements, 1u) << "the other workers hear of it";
  fail_old();
  EXPECT_EQ(s.statements.schema_version(), version + 1)
      << "one that does not listen must not cost all others";
  // Who parses it now gets a plan of its own, under the name in use too.
  EXPECT_THAT(run_unnamed(s, user), Contains(StartsWith("Parse []")));
  s.client('C', std::string("Sold\0", 5)), s.sync(), s.to_client();
  s.parse("old", kText);
  s.bind("", "old", {std::to_string(user)}), s.grant(), s.bind("", "old", {std::to_string(user)});
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Bind [mosaic_")));
}

// A statement by name, run once; returns how the server was told of it.
std::string run_named(SessionScript& s, int64_t user) {
  if (s.bind("", "q", {std::to_string(user)}) == Intake::kLater) {
    s.grant();
    s.bind("", "q", {std::to_string(user)});
  }
  s.execute(), s.sync();
  const auto sent = s.to_server();
  std::string told;
  for (const std::string& line : sent) {
    if (line.starts_with("Parse")) s.server('1', {});
    if (line.starts_with("Bind")) s.server('2', {});
    if (line.starts_with("Execute")) s.server_complete("SELECT 0");
    if (line.starts_with("Parse") || line.starts_with("Bind"))
      told += line.substr(0, line.find(']') + 1) + ' ';
  }
  return told;
}

void run_set(SessionScript& s, std::string_view text, std::string_view tag, char status) {
  if (s.query(text) == Intake::kLater) s.grant(), s.query(text);
  s.to_server(), s.server_complete(tag), s.server_ready(status), s.lease_end();
}

// PostgreSQL reads constants when it parses, by the settings of that moment, and not again.
TEST(SessionPrepare, keeps_what_constants_meant_when_they_were_parsed) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  s.parse("q", kText);
  const std::string name = "[mosaic_1_4";
  EXPECT_EQ(run_named(s, user), "Parse " + name + "] Bind " + name + "] ");
  s.server_ready('I'), s.lease_end();
  run_set(s, "SET application_name = 'other'", "SET", 'I');
  EXPECT_EQ(run_named(s, user), "Bind " + name + "] ");
  s.server_ready('I'), s.lease_end();
  run_set(s, "SET timezone = 'Asia/Tokyo'", "SET", 'I');
  EXPECT_EQ(run_named(s, user), "Bind " + name + "] ");
  s.server_ready('I'), s.lease_end();
  // A server that has it not is told of it under the settings of then.
  s.memory.statements.clear();
  s.bind("", "q", {std::to_string(user)}), s.grant(), s.bind("", "q", {std::to_string(user)});
  s.execute(), s.sync();
  EXPECT_THAT(s.answer({"RESET", "SET", "SELECT 0"}, 'I'),
              ElementsAre(HasSubstr("RESET \"timezone\""), StartsWith("Bind []"), StartsWith("Execute"),
                          StartsWith("Parse " + name + "]"), HasSubstr("SET TIME ZONE 'Asia/Tokyo'"),
                          StartsWith("Bind []"), StartsWith("Execute"), StartsWith("Bind " + name + "]"),
                          StartsWith("Execute"), "Sync"));
}

TEST(SessionPrepare, shares_no_plan_between_settings_that_read_constants_differently) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  run_set(s, "SET timezone = 'Asia/Tokyo'", "SET", 'I');
  s.parse("q", kText);
  EXPECT_EQ(run_named(s, user), "Parse [mosaic_1_4_1] Bind [mosaic_1_4_1] ");
  s.server_ready('I'), s.lease_end();
  run_set(s, "RESET timezone", "RESET", 'I');
  s.close('S', "q"), s.parse("q", kText);
  EXPECT_EQ(run_named(s, user), "Parse [mosaic_2_4] Bind [mosaic_2_4] ");
}

TEST(SessionPrepare, keeps_nothing_that_was_parsed_behind_set_local) {
  using Case = std::pair<bool, const char*>;
  for (const auto& [is_first, local] :
       {Case{true, "SET LOCAL timezone = 'Asia/Tokyo'"}, Case{false, "SET LOCAL timezone = 'Asia/Tokyo'"},
        Case{true, "SET LOCAL timezone TO DEFAULT"}, Case{false, "SET LOCAL timezone TO DEFAULT"}}) {
    SCOPED_TRACE(local);
    SessionScript s;
    const int64_t user = s.user_on("pg1");
    s.parse("q", kText);
    run_named(s, user), s.server_ready('I'), s.lease_end();
    s.query("BEGIN"), s.to_client();
    if (!is_first)
      s.send("SELECT 1 FROM media WHERE user_id = " + std::to_string(user)), s.answer({"BEGIN"}, 'T');
    s.send(local), s.answer({is_first ? "BEGIN" : "SET", "SET"}, 'T');
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(run_named(s, user), testing::EndsWith("Parse [] Bind [] "));
      s.server_ready('T');
      EXPECT_FALSE(s.memory.unnamed) << "nobody may take it for what it is not";
    }
    run_set(s, "COMMIT", "COMMIT", 'I');
    EXPECT_EQ(run_named(s, user), "Bind [mosaic_1_4] ");
  }
}

TEST(ParseContexts, are_equal_for_settings_that_parse_alike) {
  pool::NameValuesTable table;
  ParseContexts contexts(3, 10);
  const auto none = table.empty();
  const auto named = table.with(none, "application_name", "Sx");
  const auto tokyo = table.with(none, "timezone", "S'Asia/Tokyo'");
  EXPECT_EQ(contexts.id_of(*none), 0u);
  EXPECT_EQ(contexts.id_of(*named), 0u);
  EXPECT_EQ(contexts.id_of(*tokyo), 3u);
  EXPECT_EQ(contexts.id_of(*table.with(named, "timezone", "S'Asia/Tokyo'")), 3u);
  EXPECT_EQ(contexts.id_of(*table.with(tokyo, "datestyle", "SGerman")), 13u);
  for (int i = 0; i < 5000; ++i) contexts.id_of(*table.with(none, "timezone", "S" + std::to_string(i)));
  EXPECT_LE(contexts.size(), 1024u);
  EXPECT_GT(contexts.id_of(*tokyo), 13u) << "forgotten, and not confused with another";
}

TEST(StatementCache, frees_statements_of_an_older_schema) {
  SessionScript s;
  const routing::ParseMessage message{"", kText, {}};
  PreparedStatement& old = s.statements.acquire(message, s.router, *s.environment.catalog);
  const size_t bytes_of_one = s.statements.bytes();
  s.statements.forget_schema();
  PreparedStatement& young = s.statements.acquire(message, s.router, *s.environment.catalog);
  EXPECT_NE(old.id, young.id);
  EXPECT_EQ(s.statements.size(), 2u);
  s.statements.release(old);
  EXPECT_EQ(s.statements.size(), 1u);
  EXPECT_EQ(s.statements.bytes(), bytes_of_one);
  s.statements.release(young);
  s.statements.forget_schema();
  s.statements.release(s.statements.acquire(message, s.router, *s.environment.catalog));
  EXPECT_EQ(s.statements.size(), 1u);
  EXPECT_EQ(s.statements.bytes(), bytes_of_one);
}

}  // namespace
}  // namespace mosaic::proxy
