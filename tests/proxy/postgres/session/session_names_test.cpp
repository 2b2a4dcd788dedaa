// Names of prepared statements: given and taken when their message comes true, taken back when it is skipped
// or fails; replies of ours in their place; and names of ours that a server has lost, healed unseen.

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
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

constexpr const char* kText = "SELECT caption FROM media WHERE user_id = $1";

// Sends it again when a server is granted.
template <typename Send>
void with_lease(SessionScript& s, Send send) {
  if (send() == Intake::kTaken) return;
  s.grant();
  EXPECT_EQ(send(), Intake::kTaken);
}

// P(name: text) S, accepted.
void prepare(SessionScript& s, const std::string& name, const std::string& text) {
  s.parse(name, text);
  with_lease(s, [&] { return s.sync(); });
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "Ready I"));
  s.lease_end();
}

// Whether the client has a statement of this name: what Describe says.
std::string describes(SessionScript& s, const std::string& name) {
  with_lease(s, [&] { return s.describe('S', name); });
  with_lease(s, [&] { return s.sync(); });
  s.answer({}, 'I');
  s.lease_end();
  const auto lines = s.to_client();
  return lines.empty() ? "" : lines[0];
}

// A segment that fails at its first Parse, with these messages behind it. `is_early`: the error is there
// before they come.
template <typename Rest>
void fail_before(SessionScript& s, bool is_early, Rest rest) {
  s.parse("", "SELEC");
  with_lease(s, [&] { return s.flush(); });
  if (is_early) s.server_error("42601", "syntax error");
  rest();
  with_lease(s, [&] { return s.sync(); });
  if (!is_early) s.server_error("42601", "syntax error");
  s.to_server();
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42601"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionNames, takes_back_the_name_of_a_parse_that_is_skipped) {
  for (const bool is_early : {false, true}) {
    SessionScript s;
    fail_before(s, is_early, [&] { s.parse("x", "SELECT 7"); });
    EXPECT_EQ(s.session->prepared_statements(), 0u);
    prepare(s, "x", "SELECT 8");
  }
}

TEST(SessionNames, gives_back_the_name_of_a_close_that_is_skipped) {
  for (const bool is_early : {false, true}) {
    SessionScript s;
    prepare(s, "x", "SELECT 7");
    fail_before(s, is_early, [&] { s.close('S', "x"); });
    EXPECT_EQ(describes(s, "x"), "ParameterDescription");
  }
}

TEST(SessionNames, gives_a_name_back_that_was_closed_and_parsed_anew) {
  SessionScript s;
  prepare(s, "x", kText);
  fail_before(s, false, [&] { s.close('S', "x"), s.parse("x", "SELECT 8"), s.close('S', "x"); });
  const std::string user = std::to_string(s.user_on("pg1"));
  with_lease(s, [&] { return s.bind("", "x", {user}); });
  EXPECT_THAT(s.to_client(), IsEmpty()) << "x takes one value, as before";
  EXPECT_THAT(s.to_server(), Contains(StartsWith("Bind [mosaic_")));
}

TEST(SessionNames, deallocates_nothing_behind_an_error) {
  for (const char* text : {"DEALLOCATE x", "DEALLOCATE ALL"}) {
    SCOPED_TRACE(text);
    SessionScript s;
    prepare(s, "x", "SELECT 7");
    s.parse("", "SELEC");
    with_lease(s, [&] { return s.flush(); });
    s.parse("", text), s.bind("", "");
    EXPECT_EQ(s.execute(), Intake::kLater) << "what came before is answered first";
    s.server_error("42601", "syntax error");
    EXPECT_EQ(s.execute(), Intake::kTaken);
    s.sync(), s.to_server(), s.server_ready('I');
    EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42601"), "Ready I"));
    EXPECT_EQ(describes(s, "x"), "ParameterDescription");
  }
}

TEST(SessionNames, frees_the_name_of_a_parse_that_fails) {
  SessionScript s;
  s.parse("x", "SELEC");
  with_lease(s, [&] { return s.sync(); });
  s.to_server();
  s.server_error("42601", "syntax error"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42601"), "Ready I"));
  EXPECT_EQ(s.session->prepared_statements(), 0u);
  prepare(s, "x", "SELECT 8");
}

// PostgreSQL drops it before it looks at the new text.
TEST(SessionNames, has_no_unnamed_statement_when_its_parse_failed) {
  SessionScript s;
  prepare(s, "", "SELECT 7");
  s.parse("", "SELEC");
  with_lease(s, [&] { return s.sync(); });
  s.to_server();
  s.server_error("42601", "syntax error"), s.server_ready('I');
  s.to_client();
  s.bind("", "");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 26000")));
}

TEST(SessionNames, keeps_the_unnamed_statement_when_its_parse_is_skipped) {
  SessionScript s;
  prepare(s, "", "SELECT 7");
  with_lease(s, [&] { return s.bind("", ""); });
  s.execute(), s.parse("", "SELECT 8");
  s.sync();
  EXPECT_THAT(s.to_server(), ElementsAre("Bind []", "Execute []", "Parse [] SELECT 8", "Sync"));
  s.server('2', {}), s.server_error("22012", "division by zero"), s.server_ready('I');
  s.to_client(), s.lease_end();
  EXPECT_EQ(describes(s, ""), "ParameterDescription");
}

TEST(SessionNames, takes_names_back_when_the_server_is_lost) {
  SessionScript s;
  prepare(s, "y", "SELECT 7");
  s.parse("x", kText);
  with_lease(s, [&] { return s.flush(); });
  s.close('S', "y");
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  s.lease_end(), s.to_server();
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
  EXPECT_EQ(s.session->prepared_statements(), 1u);
  EXPECT_EQ(describes(s, "y"), "ParameterDescription");
}

// --- replies in their place ---

TEST(SessionNames, answers_a_parse_between_bind_and_execute_in_its_place) {
  for (const bool is_known : {false, true}) {
    SCOPED_TRACE(is_known);
    SessionScript s;
    prepare(s, "s", "SELECT 1");
    if (is_known) prepare(s, "other", "SELECT 2");
    with_lease(s, [&] { return s.bind("q", "s"); });
    s.parse("x", "SELECT 2"), s.execute("q"), s.sync();
    for (const std::string& line : s.to_server()) {
      if (line.starts_with("Parse")) s.server('1', {});
      if (line.starts_with("Bind")) s.server('2', {});
      if (line.starts_with("Execute")) s.server('D', std::string(2, '\0')), s.server_complete("SELECT 1");
      if (line == "Sync") s.server_ready('I');
    }
    EXPECT_THAT(s.to_client(),
                ElementsAre("BindComplete", "ParseComplete", "Row", "Complete SELECT 1", "Ready I"));
  }
}

TEST(SessionNames, answers_a_close_between_bind_and_execute_in_its_place) {
  SessionScript s;
  prepare(s, "s", "SELECT 1");
  with_lease(s, [&] { return s.bind("q", "s"); });
  s.close('S', "s"), s.execute("q"), s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "CloseComplete", "Complete SELECT 1", "Ready I"));
}

TEST(SessionNames, answers_a_description_from_memory_in_its_place) {
  SessionScript s;
  prepare(s, "s", "SELECT 1");
  EXPECT_EQ(describes(s, "s"), "ParameterDescription");
  with_lease(s, [&] { return s.bind("q", "s"); });
  s.describe('S', "s"), s.execute("q"), s.sync();
  EXPECT_THAT(s.answer({}, 'I'), Not(Contains(StartsWith("Describe"))));
  EXPECT_THAT(s.to_client(),
              ElementsAre("BindComplete", "ParameterDescription", "NoData", "Complete SELECT 1", "Ready I"));
}

TEST(SessionNames, answers_a_statement_of_its_own_behind_what_is_owed) {
  SessionScript s;
  s.send_extended("SELECT 1");
  s.parse("", "DEALLOCATE ALL"), s.bind("", "");
  EXPECT_EQ(s.execute(), Intake::kLater);
  s.to_client();
  EXPECT_THAT(s.answer({}, 'I'), testing::IsSupersetOf({"Execute []", "Flush"}));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 1",
                                         "ParseComplete", "BindComplete"));
  EXPECT_EQ(s.execute(), Intake::kTaken);
  s.sync(), s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DEALLOCATE ALL", "Ready I"));
}

// A simple query ends the segment that it comes in, as a Sync does: when the client is told that it is ready,
// what it sent before has committed.
TEST(SessionNames, ends_a_segment_with_a_simple_query_of_its_own) {
  for (const char* text : {"DEALLOCATE ALL", "SET mosaic.shard = 1", ""}) {
    SCOPED_TRACE(text);
    SessionScript s;
    s.send_extended("INSERT INTO media (user_id) VALUES ($1)", {std::to_string(s.user_on("pg1"))});
    std::vector<std::string> sent;
    for (int round = 0; round < 4 && s.query(text) == Intake::kLater; ++round) {
      for (const std::string& line : s.answer({"INSERT 0 1"}, 'I')) sent.push_back(line);
    }
    for (const std::string& line : s.answer({}, 'I')) sent.push_back(line);
    EXPECT_EQ(s.to_client().back(), "Ready I");
    EXPECT_THAT(sent, Contains(testing::AnyOf("Sync", StartsWith("Query "))))
        << "the INSERT is not committed";
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  }
}

// --- a row limit: nothing is confirmed until the statement is complete ---

TEST(SessionNames, confirms_the_effects_behind_a_suspended_portal_in_their_own_turn) {
  SessionScript s;
  s.send_extended("SELECT 1", {}, 1);
  s.send_extended("SET work_mem = '1MB'");
  s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('D', std::string(2, '\0')), s.server('s', {});
  EXPECT_TRUE(s.memory.settings->is_empty());
  s.server('1', {}), s.server('2', {}), s.server_complete("SET"), s.server_ready('I');
  EXPECT_NE(s.memory.settings->find("work_mem"), nullptr);
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Row", "Suspended", "ParseComplete",
                                         "BindComplete", "Complete SET", "Ready I"));
}

TEST(SessionNames, knows_of_a_setting_that_a_suspended_portal_has_made) {
  SessionScript s;
  s.send_extended("SELECT set_config('work_mem', '1MB', false)", {}, 1);
  s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('D', std::string(2, '\0')), s.server('s', {}),
      s.server_ready('I');
  const bool is_rested = s.session->phase() == Session::Phase::kResting;
  EXPECT_TRUE(is_rested || s.memory.settings->find("work_mem") != nullptr) << "the next client gets it";
}

TEST(SessionNames, knows_of_a_setting_whose_portal_is_completed_after_its_row) {
  SessionScript s;
  s.send_extended("SELECT set_config('work_mem', '1MB', false)", {}, 1);
  s.execute(), s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('D', std::string(2, '\0')), s.server('s', {});
  s.server_complete("SELECT 0"), s.server_ready('I');
  const bool is_rested = s.session->phase() == Session::Phase::kResting;
  EXPECT_TRUE(is_rested || s.memory.settings->find("work_mem") != nullptr) << "the next client gets it";
}

TEST(SessionNames, confirms_once_what_is_executed_in_two_portions) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SELECT 1"), s.answer({"BEGIN"}, 'T'), s.to_client();
  s.parse("", "SAVEPOINT a"), s.bind("", ""), s.execute("", 5), s.sync();
  s.answer({"SAVEPOINT"}, 'T');
  s.parse("", "SET work_mem = '1MB'"), s.bind("", ""), s.execute("", 5), s.sync();
  s.answer({"SET"}, 'T');
  EXPECT_NE(s.memory.settings->find("work_mem"), nullptr);
  s.query("ROLLBACK TO a"), s.answer({"ROLLBACK"}, 'T');
  EXPECT_TRUE(s.memory.settings->is_empty());
}

// --- 26000 for a name of ours ---

class SessionHealing : public testing::Test {
 protected:
  SessionHealing() : user(std::to_string(s.user_on("pg1"))) {
    s.parse("q", kText);
    with_lease(s, [&] { return s.bind("", "q", {user}); });
    s.execute(), s.sync(), s.answer({}, 'I'), s.lease_end(), s.to_client();
  }
  // Bind, Execute and Sync of a statement that the server is believed to have; it does not know it.
  std::vector<std::string> lose(const std::string& name = "q") {
    with_lease(s, [&] { return s.bind("", name, {user}); });
    s.execute(), s.sync();
    EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Bind [mosaic_"), "Execute []", "Sync"));
    s.server_error("26000", "prepared statement does not exist");
    EXPECT_THAT(s.to_server(), IsEmpty()) << "the server skips until the Sync";
    s.server_ready('I');
    return s.to_server();
  }
  void answer_anew(const std::vector<std::string>& anew) {
    EXPECT_THAT(anew,
                ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Bind [mosaic_"), "Execute []", "Sync"));
    s.server('1', {}), s.server('2', {}), s.server_complete("SELECT 0"), s.server_ready('I');
  }

  SessionScript s;
  std::string user;
};

TEST_F(SessionHealing, prepares_again_unseen_what_the_server_has_lost) {
  answer_anew(lose());
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "Complete SELECT 0", "Ready I"));
  EXPECT_EQ(s.environment.healed_statements, 1u);
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST_F(SessionHealing, tells_parse_complete_once) {
  s.parse("r", kText);
  answer_anew(lose("r"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 0", "Ready I"));
}

TEST_F(SessionHealing, tells_the_next_parse_complete_too) {
  s.parse("r", kText);
  answer_anew(lose("r"));
  s.to_client(), s.lease_end();
  for (const char* name : {"t", "u"}) {
    s.parse(name, kText);
    with_lease(s, [&] { return s.sync(); });
    EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "Ready I"));
  }
}

TEST_F(SessionHealing, tells_the_parse_behind_the_lost_statement_once) {
  with_lease(s, [&] { return s.bind("", "q", {user}); });
  s.execute(), s.parse("r", kText), s.bind("", "r", {user}), s.execute(), s.sync();
  s.to_server();
  s.server_error("26000", "prepared statement does not exist"), s.server_ready('I');
  s.answer({"SELECT 0", "SELECT 0"}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "Complete SELECT 0", "ParseComplete", "BindComplete",
                                         "Complete SELECT 0", "Ready I"));
  s.lease_end();
  s.parse("t", kText);
  with_lease(s, [&] { return s.sync(); });
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "Ready I"));
}

TEST_F(SessionHealing, heals_before_the_clients_sync_has_come) {
  with_lease(s, [&] { return s.bind("", "q", {user}); });
  s.execute(), s.flush(), s.to_server();
  s.server_error("26000", "prepared statement does not exist");
  EXPECT_THAT(s.to_server(), ElementsAre("Sync")) << "ours";
  EXPECT_FALSE(s.session->can_take());
  s.server_ready('I');
  EXPECT_THAT(s.to_server(),
              ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Bind [mosaic_"), "Execute []", "Flush"));
  s.server('1', {}), s.server('2', {}), s.server_complete("SELECT 0");
  s.sync();
  EXPECT_THAT(s.answer({}, 'I'), ElementsAre("Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "Complete SELECT 0", "Ready I"));
}

TEST_F(SessionHealing, heals_a_description) {
  s.statements.forget_schema();  // the server is asked again
  s.parse("r", kText);
  with_lease(s, [&] { return s.sync(); });
  s.answer({}, 'I'), s.lease_end(), s.to_client();
  with_lease(s, [&] { return s.describe('S', "r"); });
  s.sync(), s.to_server();
  s.server_error("26000", "prepared statement does not exist"), s.server_ready('I');
  EXPECT_THAT(s.answer({}, 'I'),
              ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Describe S [mosaic_"), "Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParameterDescription", "NoData", "Ready I"));
}

// In an open transaction the error has failed it: what went before can not be taken back.
TEST_F(SessionHealing, tells_what_was_lost_in_a_transaction) {
  s.query("BEGIN"), s.send("SELECT 1"), s.answer({"BEGIN"}, 'T'), s.to_client();
  with_lease(s, [&] { return s.bind("", "q", {user}); });
  s.execute(), s.sync(), s.to_server();
  s.server_error("26000", "prepared statement does not exist"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 26000"), "Ready E"));
}

}  // namespace
}  // namespace mosaic::proxy
