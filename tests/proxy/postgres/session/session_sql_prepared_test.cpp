// PREPARE, EXECUTE and DEALLOCATE of SQL: names are the client's, servers know statements by others.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using Intake = Session::Intake;

constexpr const char* kPrepare = "PREPARE q (bigint) AS SELECT caption FROM media WHERE user_id = $1";

// Prepares kPrepare where no server has it yet.
void prepare(SessionScript& s) {
  s.send(kPrepare);
  EXPECT_THAT(s.to_server(), ElementsAre(AllOf(StartsWith("Query PREPARE mosaic_"),
                                               HasSubstr("(bigint) AS SELECT"), HasSubstr(".media"))));
  s.server_complete("PREPARE"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete PREPARE", "Ready I"));
}

std::string execute_of(int64_t user) { return fmt::format("EXECUTE q({})", user); }

TEST(SessionSqlPrepared, goes_where_its_argument_says) {
  SessionScript s;
  prepare(s);
  for (const char* node : {"pg1", "pg2"}) {
    const int64_t user = s.user_on(node);
    EXPECT_EQ(s.query(execute_of(user)), Intake::kLater);
    EXPECT_EQ(s.wanted_node(), node);
    s.memory.statements.clear();  // another server
    s.grant();
    EXPECT_EQ(s.query(execute_of(user)), Intake::kTaken);
    const auto sent = s.to_server();
    ASSERT_EQ(sent.size(), 4u);
    EXPECT_THAT(sent[0], AllOf(StartsWith("Parse [] PREPARE mosaic_"), HasSubstr(s.schema_of_user(user))));
    EXPECT_THAT(sent[3], AllOf(StartsWith("Query EXECUTE mosaic_"), HasSubstr(fmt::format("({})", user))));
    s.server('1', {}), s.server('2', {}), s.server_complete("PREPARE");
    s.server_complete("SELECT 0"), s.server_ready('I');
    EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 0", "Ready I"));
  }
}

TEST(SessionSqlPrepared, is_answered_here_once_a_server_has_accepted_it) {
  SessionScript s;
  prepare(s);
  s.query("DEALLOCATE q");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DEALLOCATE", "Ready I"));
  EXPECT_EQ(s.query(kPrepare), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Complete PREPARE", "Ready I"));
  EXPECT_FALSE(s.wants_lease());
}

TEST(SessionSqlPrepared, shares_its_names_with_the_protocol) {
  SessionScript s;
  prepare(s);
  s.bind("", "q", {std::to_string(s.user_on("pg1"))});
  EXPECT_EQ(s.wanted_node(), "pg1");
}

TEST(SessionSqlPrepared, has_no_name_when_its_server_refuses_it) {
  SessionScript s;
  s.send(kPrepare), s.to_server();
  s.server_error("42703", "column does not exist"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42703"), "Ready I"));
  s.query(execute_of(5));
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 26000"), "Ready I"));
  EXPECT_EQ(s.memory.statements.size(), 0u);
}

TEST(SessionSqlPrepared, says_what_postgres_says_of_names_and_arguments) {
  SessionScript s;
  prepare(s);
  const std::pair<const char*, const char*> kCases[] = {{kPrepare, "Error 42P05"},
                                                        {"EXECUTE nothing", "Error 26000"},
                                                        {"EXECUTE q", "Error 42601"},
                                                        {"EXECUTE q(1, 2)", "Error 42601"},
                                                        {"DEALLOCATE no", "Error 26000"},
                                                        {"EXECUTE q(1 + 1)", "Error MZ016"},
                                                        {"SELECT 1; EXECUTE q(5)", "Error 0A000"}};
  for (const auto& [text, error] : kCases) {
    s.query(text);
    EXPECT_THAT(s.to_client(), ElementsAre(StartsWith(error), "Ready I")) << text;
  }
}

TEST(SessionSqlPrepared, is_prepared_again_where_a_server_has_lost_it) {
  SessionScript s;
  prepare(s);
  const int64_t user = s.user_on("pg1");
  const auto run = [&] {
    s.query(execute_of(user));
    s.grant();
    EXPECT_EQ(s.query(execute_of(user)), Intake::kTaken);
    return s.to_server();
  };
  run();
  s.server('1', {}), s.server('2', {}), s.server_complete("PREPARE"), s.server_complete("SELECT 0");
  s.server_ready('I'), s.to_client();
  const auto sent = run();
  ASSERT_EQ(sent.size(), 1u) << "the server has it";
  const std::string name =
      sent[0].substr(sent[0].find("mosaic_"), sent[0].find('(') - sent[0].find("mosaic_"));
  s.server_error("26000", fmt::format("prepared statement \"{}\" does not exist", name)), s.server_ready('I');
  EXPECT_THAT(s.to_client(), testing::IsEmpty());
  EXPECT_THAT(s.to_server().front(), StartsWith("Parse [] PREPARE"));
}

TEST(SessionSqlPrepared, is_run_by_the_extended_protocol) {
  SessionScript s;
  s.parse("", kPrepare);
  s.bind("", ""), s.execute();
  s.grant();
  s.execute(), s.sync();
  EXPECT_THAT(s.answer({"PREPARE"}, 'I'),
              ElementsAre(StartsWith("Parse [] PREPARE mosaic_"), "Bind []", "Execute []", "Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete PREPARE", "Ready I"));
  const std::string text = execute_of(s.user_on("pg2"));
  s.parse("", text);
  EXPECT_EQ(s.bind("", ""), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  s.bind("", ""), s.describe('P', ""), s.execute(), s.sync();
  EXPECT_THAT(s.to_server(), testing::Contains(StartsWith("Parse [] EXECUTE mosaic_")));
}

// What is of one transaction ends with it, however it was set.
TEST(SessionSqlPrepared, keeps_no_setting_of_a_transaction) {
  for (const char* name : {"transaction_isolation", "transaction_read_only", "transaction_deferrable"}) {
    SessionScript s;
    s.send(fmt::format("SET {} = 'on'", name)), s.to_server();
    s.server_complete("SET"), s.server_ready('I');
    EXPECT_TRUE(s.memory.settings->is_empty()) << name;
  }
}

}  // namespace
}  // namespace mosaic::proxy
