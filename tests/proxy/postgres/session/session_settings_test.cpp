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

// The text of a statement that any node answers, sent; its server is there.
void send_with_lease(SessionScript& s, const std::string& text) {
  if (s.query(text) == Intake::kLater) {
    s.grant();
    ASSERT_EQ(s.query(text), Intake::kTaken);
  }
}

// Answers what send_held() sent.
void complete_held(SessionScript& s, const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    s.server('1', {});
    s.server('2', {});
    s.server_complete(tag);
  }
}

TEST(SessionSettings, rehearses_a_read_behind_a_held_set_local) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SET LOCAL statement_timeout = 7");
  s.to_client();
  send_with_lease(s, "SHOW statement_timeout");
  EXPECT_THAT(s.to_server(), ElementsAre("Parse [] BEGIN", "Bind []", "Execute []",
                                         "Parse [] SET LOCAL statement_timeout = 7", "Bind []", "Execute []",
                                         "Query SHOW statement_timeout"));
  complete_held(s, {"BEGIN", "SET"});
  s.server('D', std::string(2, '\0'));
  s.server_complete("SHOW");
  s.server_ready('T');
  EXPECT_THAT(s.to_client(), ElementsAre("Row", "Complete SHOW")) << "no Ready while the server rolls back";
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
  s.server_complete("ROLLBACK");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Ready T"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);

  // The transaction still goes wherever its first statement wants it, with the setting.
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  s.query(text);
  EXPECT_THAT(s.to_server(), ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", HasSubstr("SET LOCAL"),
                                         "Bind []", "Execute []", StartsWith("Query SELECT")));
}

TEST(SessionSettings, rehearses_once_for_the_messages_up_to_a_sync) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SET LOCAL datestyle = german");
  s.to_client();
  s.parse("", "SELECT now()");
  ASSERT_EQ(s.bind("", ""), Intake::kLater);
  s.grant();
  s.bind("", "");
  s.execute();
  s.bind("", "");
  s.execute();
  s.sync();
  const auto sent = s.to_server();
  EXPECT_EQ(std::count(sent.begin(), sent.end(), "Parse [] BEGIN"), 1);
}

TEST(SessionSettings, fails_the_held_transaction_when_its_rehearsal_fails) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SET LOCAL statement_timeout = 'never'");
  s.to_client();
  send_with_lease(s, "SHOW statement_timeout");
  s.to_server();
  complete_held(s, {"BEGIN"});
  s.server('1', {});
  s.server('2', {});
  s.server_error("22023", "invalid value");
  EXPECT_THAT(s.to_server(), ElementsAre("Sync"));
  s.server_ready('E');
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
  s.server_complete("ROLLBACK");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 22023"), "Ready E"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  s.query("COMMIT");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready I"));
}

TEST(SessionSettings, tells_a_held_transaction_that_its_server_was_lost) {
  SessionScript s;
  s.query("BEGIN");
  s.to_client();
  send_with_lease(s, "SELECT 1");
  s.session->on_server_lost({"08006", "gone", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 08006"), "Ready E"));
}

TEST(SessionSettings, keeps_the_order_of_set_local_and_set) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SET LOCAL work_mem = '1MB'");
  send_with_lease(s, "SET work_mem = '2MB'");
  EXPECT_THAT(s.to_server(), ElementsAre("Query SET work_mem = '2MB'"));
  s.server_complete("SET");
  s.server_ready('I');
  s.lease_end();
  send_with_lease(s, fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1")));
  EXPECT_THAT(s.to_server(),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", HasSubstr("SET LOCAL work_mem = '1MB'"),
                          "Bind []", "Execute []", HasSubstr("SET work_mem TO '2MB'"), "Bind []",
                          "Execute []", StartsWith("Query SELECT")));
}

TEST(SessionSettings, bounds_what_is_kept_of_set_behind_a_held_set_local) {
  SessionScript s;
  s.environment.max_held_bytes = 200;
  s.query("BEGIN");
  s.query("SET LOCAL work_mem = '1MB'");
  s.to_client();
  for (int i = 0; i < 20; ++i) {
    send_with_lease(s, "SET work_mem = '2MB'");
    if (s.to_server().empty()) break;
    s.server_complete("SET");
    s.server_ready('I');
    s.lease_end();
  }
  EXPECT_THAT(s.to_client(), Contains(HasSubstr("too many statements or portals wait for a server")));
  s.query("ROLLBACK");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready I"));
}

// A client that asked for work_mem at its start-up, in a transaction on a server.
void begin_with_work_mem(SessionScript& s) {
  s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
  s.grant();
  s.server_complete("SET");
  s.server_ready('I');
  s.query("BEGIN");
  send_with_lease(s, fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1")));
  complete_held(s, {"BEGIN"});
  s.server_complete("SELECT 1");
  s.server_ready('T');
  s.to_server();
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

TEST(SessionSettings, settles_a_server_that_a_rollback_took_too_far_back_even_behind_an_error) {
  SessionScript s;
  s.query("BEGIN");
  send_with_lease(s, "SET work_mem = '2MB'");  // outside what is held: this server keeps it
  s.server_complete("SET");
  s.server_ready('I');
  s.lease_end();
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1"));
  send_with_lease(s, text);
  complete_held(s, {"BEGIN"});
  s.server_complete("SELECT 1");
  s.server_ready('T');
  s.to_client();
  s.to_server();
  s.query("ROLLBACK; SELECT 1 / 0");
  s.to_server();
  s.server_complete("ROLLBACK");
  s.server_error("22012", "division by zero");
  s.server_ready('I');
  EXPECT_THAT(s.to_server(), ElementsAre("Query RESET work_mem"));
  s.server_complete("RESET");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", StartsWith("Error 22012"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.memory.settings, s.name_values.empty());
}

TEST(SessionSettings, shows_the_parameters_of_before_when_the_transaction_fails) {
  SessionScript s;
  s.memory.parameters = s.name_values.intern({{"DateStyle", "ISO, MDY"}});
  s.welcomes.store("app", s.name_values.empty(), s.memory.parameters);
  s.session->on_login("app", {}, 1, 2);
  s.to_client();
  s.query("BEGIN");
  send_with_lease(s, "SET datestyle = german");  // outside what is held: this server keeps it
  s.server_complete("SET");
  s.server('S', std::string_view("DateStyle\0German, DMY\0", 22));
  s.server_ready('I');
  s.to_client();
  send_with_lease(s, fmt::format("SELECT 1 / 0 FROM media WHERE user_id = {}", s.user_on("pg1")));
  complete_held(s, {"BEGIN"});
  s.server_error("22012", "division by zero");
  s.server_ready('E');
  EXPECT_THAT(s.to_client(),
              ElementsAre(StartsWith("Error 22012"), "Parameter DateStyle=ISO, MDY", "Ready E"));
}

TEST(SessionSettings, answers_discard_plans_in_a_held_transaction) {
  SessionScript s;
  s.query("BEGIN");
  s.to_client();
  EXPECT_EQ(s.query("DISCARD PLANS"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DISCARD PLANS", "Ready T"));
}

TEST(SessionSettings, keeps_a_set_when_a_held_rollback_to_runs) {
  SessionScript s;
  s.query("BEGIN");
  send_with_lease(s, "SET work_mem = '2MB'");
  s.server_complete("SET");
  s.server_ready('I');
  s.lease_end();
  s.query("SAVEPOINT a");
  s.query("ROLLBACK TO a");
  send_with_lease(s, fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1")));
  complete_held(s, {"BEGIN", "SAVEPOINT", "ROLLBACK"});
  s.server_complete("SELECT 1");
  s.server_ready('T');
  s.query("COMMIT");
  s.server_complete("COMMIT");
  s.to_server();
  s.server_ready('I');
  EXPECT_THAT(s.to_server(), IsEmpty());
  EXPECT_NE(s.memory.settings, s.name_values.empty()) << "work_mem was committed";
}

}  // namespace
}  // namespace mosaic::proxy
