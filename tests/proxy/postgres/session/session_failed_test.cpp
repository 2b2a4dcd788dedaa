// In and behind failed transactions: what is answered here stays as PostgreSQL has it, and nothing of a wait
// that ended outlives it.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

// BEGIN, and a statement that fails on a server.
void fail_transaction(SessionScript& s, const std::string& begin = "BEGIN") {
  s.query(begin);
  s.send(fmt::format("SELECT 1/0 FROM media WHERE user_id = {}", s.user_on("pg1")));
  for (const std::string& line : s.to_server()) {
    if (line.starts_with("Parse")) s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  }
  s.server_error("22012", "division by zero");
  s.server_ready('E');
  s.to_client();
}

TEST(SessionFailed, answers_deallocate_here_behind_the_rollback_in_its_segment) {
  SessionScript s;
  fail_transaction(s);
  s.send_extended("ROLLBACK");
  s.parse("all", "DEALLOCATE ALL"), s.bind("", "all");
  EXPECT_EQ(s.execute(), Intake::kLater) << "it waits for what was sent before";
  for (const std::string& line : s.answer({"ROLLBACK"}, 'I')) EXPECT_THAT(line, Not(HasSubstr("DEALLOCATE")));
  EXPECT_EQ(s.execute(), Intake::kTaken);
  s.sync();
  EXPECT_THAT(s.answer({}, 'I'), ElementsAre("Sync"));
  EXPECT_THAT(s.to_client(),
              testing::IsSupersetOf({"Complete ROLLBACK", "Complete DEALLOCATE ALL", "Ready I"}));
}

TEST(SessionFailed, keeps_portals_of_a_failed_transaction_and_runs_none) {
  SessionScript s;
  s.parse("b", "BEGIN"), s.bind("p", "b"), s.execute("p"), s.sync();
  s.send(fmt::format("SELECT 1/0 FROM media WHERE user_id = {}", s.user_on("pg1")));
  s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_error("22012", "division by zero"), s.server_ready('E');
  s.to_client();
  s.execute("p"), s.sync();
  for (const std::string& line : s.to_server()) {
    if (line.find("refused") != std::string::npos) s.server_error("42601", "syntax error");
    if (line == "Sync") s.server_ready('E');
  }
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 25P02"), "Ready E"));
}

TEST(SessionFailed, leaves_no_modes_to_what_it_chains) {
  SessionScript s;
  fail_transaction(s, "BEGIN READ ONLY");
  s.query("ROLLBACK AND CHAIN"), s.to_server();
  s.server_complete("ROLLBACK"), s.server_ready('T');
  s.to_client();
  // It goes to another node as one that may write.
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  s.answer({"ROLLBACK"}, 'I'), s.query(text), s.grant(), s.query(text);
  const auto sent = s.to_server();
  EXPECT_THAT(sent, Contains(HasSubstr("BEGIN")));
  EXPECT_THAT(sent, Not(Contains(HasSubstr("READ ONLY"))));
}

// A Parse that nobody has bound waits for a server to describe it, and is cancelled: the next one must not go
// where that one was to go.
TEST(SessionFailed, forgets_where_a_cancelled_parse_was_to_go) {
  SessionScript s;
  const std::string text = "SELECT caption FROM media WHERE user_id = $1";
  s.parse("first", text);
  EXPECT_EQ(s.flush(), Intake::kLater);
  s.session->on_cancel_request();
  s.flush(), s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 57014"), "Ready I"));
  s.parse("second", text);
  EXPECT_EQ(s.bind("", "second", {std::to_string(s.user_on("pg2"))}), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  s.bind("", "second", {std::to_string(s.user_on("pg2"))});
  EXPECT_THAT(s.to_server(), Contains(HasSubstr("FROM shard_")));
}

}  // namespace
}  // namespace mosaic::proxy
