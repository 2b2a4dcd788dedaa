// Settings over servers and transactions: what a client has SET is what its statements see, wherever they
// run.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Intake = Session::Intake;

TEST(SessionSettings, says_set_local_again_where_the_transaction_goes) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET LOCAL statement_timeout = 7"), s.answer({"BEGIN", "SET"}, 'T');
  s.send("SHOW statement_timeout");
  EXPECT_THAT(s.answer({"SHOW"}, 'T'), ElementsAre("Query SHOW statement_timeout"));
  s.to_client();
  // The transaction still goes wherever its first key wants it, with the setting.
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query ROLLBACK"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  s.query(text);
  EXPECT_THAT(
      s.answer({"BEGIN", "SET"}, 'T'),
      ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", "Parse [] SET LOCAL statement_timeout = 7",
                  "Bind []", "Execute []", StartsWith("Query SELECT")));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 1", "Ready T"));
}

TEST(SessionSettings, says_once_what_was_said_for_the_messages_up_to_a_sync) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SAVEPOINT a");
  s.to_client();
  s.send_extended("SET LOCAL datestyle = german");
  s.send_extended("SELECT now()");
  s.sync();
  const auto sent = s.answer({}, 'T');
  EXPECT_EQ(std::count(sent.begin(), sent.end(), "Parse [] BEGIN"), 1);
  EXPECT_EQ(std::count(sent.begin(), sent.end(), "Parse [] SAVEPOINT a"), 1);
  s.send_extended("SELECT now()");
  s.sync();
  EXPECT_THAT(s.to_server(), testing::Each(testing::Not(HasSubstr("BEGIN"))));
}

TEST(SessionSettings, fails_the_transaction_when_what_is_said_again_fails) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET LOCAL role TO r"), s.answer({"BEGIN", "SET"}, 'T');
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  s.query(text), s.answer({"ROLLBACK"}, 'I'), s.lease_end(), s.send(text);
  s.to_server(), s.to_client();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN"), s.server('1', {}), s.server('2', {});
  s.server_error("22023", "role \"r\" does not exist");  // on this node
  EXPECT_THAT(s.to_server(), ElementsAre("Sync")) << "the server skips the query";
  s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 22023"), "Ready E"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.query("COMMIT");
  EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query COMMIT"));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionSettings, tells_a_portable_transaction_that_its_server_was_lost) {
  SessionScript s;
  s.query("BEGIN");
  s.to_client();
  s.send("SELECT 1");
  s.session->on_server_lost({"08006", "gone", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 08006"), "Ready E"));
}

TEST(SessionSettings, keeps_the_order_of_set_local_and_set) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET LOCAL work_mem = '1MB'"), s.answer({"BEGIN", "SET"}, 'T');
  s.send("SET work_mem = '2MB'");
  EXPECT_THAT(s.answer({"SET"}, 'T'), ElementsAre("Query SET work_mem = '2MB'"));
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  s.query(text), s.answer({"ROLLBACK"}, 'I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.memory.settings->is_empty()) << "that server has rolled the SET back";
  s.send(text);
  EXPECT_THAT(s.answer({"BEGIN", "SET", "SET"}, 'T'),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", HasSubstr("SET LOCAL work_mem = '1MB'"),
                          "Bind []", "Execute []", HasSubstr("SET work_mem = '2MB'"), "Bind []", "Execute []",
                          StartsWith("Query SELECT")));
  s.query("COMMIT"), s.answer({"COMMIT"}, 'I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_FALSE(s.memory.settings->is_empty()) << "this one has committed it";
}

TEST(SessionSettings, binds_a_transaction_that_says_more_than_is_kept) {
  SessionScript s;
  s.environment.max_held_bytes = 200;
  s.query("BEGIN");
  for (int i = 0; i < 20; ++i) {
    s.send("SET work_mem = '2MB'");
    s.answer({i == 0 ? "BEGIN" : "SET", "SET"}, 'T');
  }
  s.to_client();
  EXPECT_EQ(s.query(fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"))), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("refused a statement: MZ014")));
}

// A client that asked for work_mem at its start-up, in a transaction on a server.
void begin_with_work_mem(SessionScript& s) {
  s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
  s.grant(), s.answer({"SET"}, 'I');
  s.query("BEGIN");
  s.send(fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1")));
  s.answer({"BEGIN"}, 'T');
  s.to_client();
}

TEST(SessionSettings, resets_to_what_the_client_started_with_also_within_a_transaction) {
  SessionScript s;
  begin_with_work_mem(s);
  s.query("RESET ALL");
  s.to_server();
  s.server_complete("RESET");
  s.server_ready('T');
  EXPECT_THAT(s.to_server(), ElementsAre(AllOf(HasSubstr("work_mem"), HasSubstr("4MB"))));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete RESET"));
  s.server_complete("SELECT 1");
  s.server_ready('T');
  EXPECT_THAT(s.to_client(), ElementsAre("Ready T"));
}

// The transaction that COMMIT ends has committed; what follows it fails by itself.
TEST(SessionSettings, settles_a_server_even_behind_an_error) {
  SessionScript s;
  s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
  s.grant(), s.answer({"SET"}, 'I'), s.lease_end(), s.to_client();
  s.send("RESET work_mem; COMMIT; RESET nonsense");
  s.to_server();
  s.server_complete("RESET"), s.server_complete("COMMIT");
  s.server_error("42704", "unrecognized configuration parameter");
  s.server_ready('I');
  EXPECT_THAT(s.to_server(), ElementsAre(AllOf(HasSubstr("work_mem"), HasSubstr("4MB"))));
  s.server_complete("SELECT 1"), s.server_ready('I');
  EXPECT_THAT(s.to_client(),
              ElementsAre("Complete RESET", "Complete COMMIT", StartsWith("Error 42704"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_NE(s.memory.settings->find("work_mem"), nullptr);
}

// Servers reset it to their own default: what would see that is refused.
TEST(SessionSettings, runs_nothing_between_a_reset_and_what_was_given_at_start_up) {
  for (const char* text : {"RESET work_mem; SELECT 1", "RESET ALL; SHOW work_mem",
                           "SELECT 1; RESET ALL; TABLE media", "SET work_mem TO DEFAULT; SELECT 1"}) {
    SessionScript s;
    s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
    s.grant(), s.answer({"SET"}, 'I'), s.lease_end(), s.to_client();
    s.query(text);
    EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 0A000"), "Ready I")) << text;
    s.query("RESET work_mem; COMMIT");
    EXPECT_TRUE(s.wants_lease()) << "nothing sees it";
  }
  SessionScript s;
  s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
  s.grant(), s.answer({"SET"}, 'I'), s.lease_end(), s.to_client();
  s.send_extended("RESET ALL");
  s.parse("", "SELECT 1"), s.bind("", "");
  EXPECT_THAT(s.to_client(), testing::IsEmpty());
  s.server('1', {}), s.server('2', {}), s.server_complete("RESET");
  s.to_client();
  s.server('1', {}), s.server_error("42601", "mosaic refused a statement");
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", StartsWith("Error 0A000")));
}

TEST(SessionSettings, takes_a_setting_back_with_a_rollback_that_an_error_follows) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET work_mem = '2MB'"), s.answer({"BEGIN", "SET"}, 'T');
  s.to_client();
  s.query("ROLLBACK; SELECT 1 / 0");
  s.to_server();
  s.server_complete("ROLLBACK");
  s.server_error("22012", "division by zero");
  s.server_ready('I');
  EXPECT_THAT(s.to_server(), IsEmpty());
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", StartsWith("Error 22012"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.memory.settings->is_empty());
}

// PostgreSQL reports a parameter again when the transaction ends, not when it fails.
TEST(SessionSettings, shows_the_parameters_of_before_when_the_server_does) {
  SessionScript s;
  s.memory.parameters = s.name_values.intern({{"DateStyle", "ISO, MDY"}});
  s.welcomes.store("app", s.name_values.empty(), s.memory.parameters);
  s.session->on_login("app", {}, 1, 2);
  s.to_client();
  s.query("BEGIN");
  s.send("SET datestyle = german"), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_complete("SET"), s.server_parameter("DateStyle", "German, DMY"), s.server_ready('T');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete BEGIN", "Ready T", "Complete SET",
                                         "Parameter DateStyle=German, DMY", "Ready T"));
  s.send("SELECT 1 / 0"), s.to_server();
  s.server_error("22012", "division by zero"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 22012"), "Ready E"));
  s.query("ROLLBACK"), s.to_server();
  s.server_complete("ROLLBACK"), s.server_parameter("DateStyle", "ISO, MDY"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Parameter DateStyle=ISO, MDY", "Ready I"));
  EXPECT_TRUE(s.memory.settings->is_empty());
}

TEST(SessionSettings, sends_discard_plans_to_the_server_of_a_transaction) {
  SessionScript s;
  s.query("BEGIN");
  s.to_client();
  s.send("DISCARD PLANS");
  EXPECT_THAT(s.answer({"BEGIN", "DISCARD PLANS"}, 'T'),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", "Query DISCARD PLANS"));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DISCARD PLANS", "Ready T"));
}

TEST(SessionSettings, keeps_a_set_when_a_later_savepoint_is_rolled_back_to) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET work_mem = '2MB'"), s.answer({"BEGIN", "SET"}, 'T');
  s.send("SAVEPOINT a"), s.answer({"SAVEPOINT"}, 'T');
  s.send("ROLLBACK TO a"), s.answer({"ROLLBACK"}, 'T');
  s.send(fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1"))), s.answer({}, 'T');
  s.query("COMMIT"), s.answer({"COMMIT"}, 'I');
  EXPECT_THAT(s.to_server(), IsEmpty());
  EXPECT_NE(s.memory.settings->find("work_mem"), nullptr) << "work_mem was committed";
}

// --- RELEASE SAVEPOINT: the savepoint is gone, what was set since stays ---

// What work_mem is at the end of a transaction of these statements, each with its tag.
std::string work_mem_after(const std::vector<std::pair<std::string, std::string>>& statements) {
  SessionScript s;
  s.query("BEGIN");
  bool is_first = true;
  for (const auto& [text, tag] : statements) {
    s.send(text);
    s.answer(is_first ? std::vector<std::string>{"BEGIN", tag} : std::vector<std::string>{tag}, 'T');
    is_first = false;
  }
  s.send("COMMIT"), s.answer({"COMMIT"}, 'I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_THAT(s.to_server(), IsEmpty()) << "server and client agree";
  const std::string* value = s.memory.settings->find("work_mem");
  return value == nullptr ? "" : *value;
}

TEST(SessionSettings, keeps_what_was_set_before_a_release) {
  EXPECT_EQ(
      work_mem_after({{"SET work_mem = 1", "SET"}, {"SAVEPOINT a", "SAVEPOINT"}, {"RELEASE a", "RELEASE"}}),
      "S1");
}

TEST(SessionSettings, keeps_what_was_set_behind_a_savepoint_that_is_released) {
  EXPECT_EQ(work_mem_after({{"SELECT 1", "SELECT 1"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"SET work_mem = 1", "SET"},
                            {"RELEASE SAVEPOINT a", "RELEASE"}}),
            "S1");
}

TEST(SessionSettings, rolls_back_to_the_outer_of_two_savepoints_of_one_name_once_the_inner_is_released) {
  EXPECT_EQ(work_mem_after({{"SELECT 1", "SELECT 1"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"SET work_mem = 1", "SET"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"RELEASE a", "RELEASE"},
                            {"ROLLBACK TO a", "ROLLBACK"}}),
            "");
}

TEST(SessionSettings, rolls_back_to_the_inner_of_two_savepoints_of_one_name_while_it_is_there) {
  EXPECT_EQ(work_mem_after({{"SELECT 1", "SELECT 1"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"SET work_mem = 1", "SET"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"SET work_mem = 2", "SET"},
                            {"ROLLBACK TO a", "ROLLBACK"}}),
            "S1");
}

TEST(SessionSettings, releases_the_savepoints_behind_a_released_one_too) {
  EXPECT_EQ(work_mem_after({{"SELECT 1", "SELECT 1"},
                            {"SAVEPOINT b", "SAVEPOINT"},
                            {"SAVEPOINT a", "SAVEPOINT"},
                            {"SET work_mem = 1", "SET"},
                            {"SAVEPOINT b", "SAVEPOINT"},
                            {"SET work_mem = 2", "SET"},
                            {"RELEASE a", "RELEASE"},
                            {"ROLLBACK TO b", "ROLLBACK"}}),
            "");
}

// --- DateStyle is set in parts ---

TEST(SessionSettings, gives_the_next_server_the_whole_date_style_that_two_sets_made) {
  SessionScript s;
  for (const auto& [text, reported] :
       {std::pair{"SET datestyle = 'German'", "German, DMY"}, {"SET datestyle = 'YMD'", "German, YMD"}}) {
    s.send(text), s.to_server();
    s.server_complete("SET"), s.server_parameter("DateStyle", reported), s.server_ready('I');
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  }
  s.memory = {};
  s.memory.settings = s.memory.parameters = s.name_values.empty();
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  s.grant();
  EXPECT_THAT(s.to_server(), ElementsAre(AllOf(HasSubstr("datestyle"), HasSubstr("'German, YMD'"))));
}

TEST(SessionSettings, asks_nothing_of_a_server_that_has_the_whole_date_style) {
  SessionScript s;
  s.send("SET datestyle = 'German'"), s.to_server();
  s.server_complete("SET"), s.server_parameter("DateStyle", "German, DMY"), s.server_ready('I');
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1"));
  s.send(text);
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query SELECT 1")));
}

TEST(SessionSettings, forgets_a_date_style_that_is_rolled_back) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SET datestyle = 'YMD'"), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_complete("SET"), s.server_parameter("DateStyle", "ISO, YMD"), s.server_ready('T');
  s.query("ROLLBACK"), s.to_server();
  s.server_complete("ROLLBACK"), s.server_parameter("DateStyle", "ISO, MDY"), s.server_ready('I');
  EXPECT_TRUE(s.memory.settings->is_empty());
  EXPECT_THAT(s.to_server(), IsEmpty());
}

TEST(SessionSettings, completes_a_date_style_that_was_set_as_a_parameter_value) {
  SessionScript s;
  s.send("SELECT set_config('datestyle', 'DMY', false)"), s.to_server();
  s.server_complete("SELECT 1"), s.server_parameter("DateStyle", "SQL, DMY"), s.server_ready('I');
  const std::string* style = s.memory.settings->find("datestyle");
  ASSERT_NE(style, nullptr);
  EXPECT_EQ(*style, "RSQL, DMY");
}

}  // namespace
}  // namespace mosaic::proxy
