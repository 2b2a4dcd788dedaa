// Statements that clients prepare and describe: parsed where their key is bound, described once for all, kept
// by servers under names of ours.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Intake = Session::Intake;

TEST(Session, sends_the_parse_with_the_bind_that_brings_the_key) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  EXPECT_EQ(s.parse("", "SELECT caption FROM media WHERE user_id = $1"), Intake::kTaken);
  EXPECT_FALSE(s.wants_lease());
  EXPECT_EQ(s.bind("", "", {std::to_string(user)}), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_EQ(s.bind("", "", {std::to_string(user)}), Intake::kTaken);
  s.describe('P', "");
  s.execute();
  s.sync();
  EXPECT_THAT(s.to_server(),
              ElementsAre(fmt::format("Parse [] SELECT caption FROM {}.media WHERE user_id = $1",
                                      s.schema_of_user(user)),
                          "Bind []", "Describe P []", "Execute []", "Sync"));
  s.server('1', {});
  s.server('2', {});
  s.server('T', std::string(2, '\0'));
  s.server_complete("SELECT 0");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", "RowDescription", "Complete SELECT 0", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// Prepares `name` on whatever server the session asks for.
void prepare(SessionScript& s, const std::string& name, const std::string& text) {
  s.parse(name, text);
  if (s.sync() == Intake::kLater) {
    s.grant();
    ASSERT_EQ(s.sync(), Intake::kTaken);
    s.server('1', {});
    s.server_ready('I');
  }
  ASSERT_THAT(s.to_client(), ElementsAre("ParseComplete", "Ready I"));
  s.to_server();
  s.lease_end();
}

TEST(Session, keeps_a_prepared_statement_over_servers_and_shards) {
  SessionScript s;
  prepare(s, "q", "SELECT caption FROM media WHERE user_id = $1");
  const int64_t user = s.user_on("pg2");
  const auto run = [&] {
    if (s.bind("", "q", {std::to_string(user)}) == Intake::kLater) {
      s.grant();
      EXPECT_EQ(s.bind("", "q", {std::to_string(user)}), Intake::kTaken);
    }
    s.execute();
    s.sync();
    return s.to_server();
  };
  EXPECT_THAT(run(), ElementsAre(HasSubstr(s.schema_of_user(user) + ".media"), StartsWith("Bind [mosaic_"),
                                 "Execute []", "Sync"));
  for (const char type : {'1', '2'}) s.server(type, {});
  s.server_complete("SELECT 0");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "Complete SELECT 0", "Ready I"));
  EXPECT_THAT(run(),
              ElementsAre(StartsWith("Bind [mosaic_"), "Execute []", "Sync"));  // the server has it now
}

TEST(Session, refuses_a_name_in_use_but_tells_of_a_failed_transaction_first) {
  SessionScript s;
  const std::string select = "SELECT caption FROM media WHERE user_id = $1";
  prepare(s, "q", select);
  s.parse("q", select);
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42P05"), "Ready I"));
  s.query("BEGIN");
  s.query("SELECT * FROM media"), s.grant();  // refused, so the transaction fails
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_error("42601", "syntax error"), s.server_ready('E');
  s.to_client(), s.to_server();
  s.parse("q", select);
  s.sync();
  EXPECT_THAT(s.to_server(),
              ElementsAre(StartsWith("Parse [] SELECT"), HasSubstr("refused"), "Flush", "Sync"));
  s.server_error("25P02", "current transaction is aborted"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 25P02"), "Ready E"));
  s.parse("q", "ROLLBACK");
  s.sync();
  EXPECT_THAT(s.to_server(), ElementsAre("Parse [] ROLLBACK", HasSubstr("refused"), "Flush", "Sync"));
  s.server('1', {}), s.server_error("42601", "syntax error"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42P05"), "Ready E"));
}

TEST(Session, never_uses_one_shards_plan_for_another) {
  SessionScript s;
  prepare(s, "q", "SELECT caption FROM media WHERE user_id = $1");
  std::vector<std::string> names;
  for (int which = 0; which < 6; ++which) {
    const int64_t user = s.user_on("pg1", which);
    if (s.bind("", "q", {std::to_string(user)}) == Intake::kLater) {
      s.grant();
      s.bind("", "q", {std::to_string(user)});
    }
    s.execute();
    s.sync();
    const auto lines = s.to_server();
    for (const std::string& line : lines) {
      if (line.starts_with("Parse")) {
        EXPECT_THAT(line, HasSubstr(s.schema_of_user(user) + ".media"));
      }
      if (line.starts_with("Bind")) names.push_back(line + " for " + s.schema_of_user(user));
      if (line.starts_with("Parse")) s.server('1', {});
      if (line.starts_with("Close")) s.server('3', {});
      if (line.starts_with("Bind")) s.server('2', {});
    }
    s.server_complete("SELECT 0");
    s.server_ready('I');
    s.lease_end();
    EXPECT_LE(s.memory.statements.size(), 3u);
  }
  // One name always means one schema.
  for (const std::string& a : names) {
    for (const std::string& b : names) {
      const bool is_same_name = a.substr(0, a.find(" for")) == b.substr(0, b.find(" for"));
      if (is_same_name) {
        EXPECT_EQ(a, b);
      }
    }
  }
}

TEST(Session, describes_from_memory_the_second_time) {
  SessionScript s;
  const char* text = "SELECT caption FROM media WHERE user_id = $1";
  s.parse("a", text);
  EXPECT_EQ(s.describe('S', "a"), Intake::kLater);
  s.grant();
  EXPECT_EQ(s.describe('S', "a"), Intake::kTaken);
  s.sync();
  EXPECT_THAT(s.to_server(),
              ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Describe S [mosaic_"), "Sync"));
  s.server('1', {});
  s.server('t', std::string("\0\1\0\0\0\x14", 6));
  s.server('T', std::string(2, '\0'));
  s.server_ready('I');
  const auto first = s.to_client();
  EXPECT_THAT(first, ElementsAre("ParseComplete", "ParameterDescription", "RowDescription", "Ready I"));
  s.lease_end();
  s.parse("b", text);
  s.describe('S', "b");
  s.sync();
  EXPECT_FALSE(s.wants_lease());
  EXPECT_EQ(s.to_client(), first);
}

TEST(Session, keeps_the_order_of_its_own_replies_behind_the_servers) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  s.parse("q", "SELECT 1 FROM media WHERE user_id = $1");
  s.bind("", "q", {std::to_string(user)});
  s.grant();
  s.bind("", "q", {std::to_string(user)});
  s.execute();
  s.client('C', std::string("Sq\0", 3));  // answered here, but only after the Execute
  s.sync();
  EXPECT_THAT(s.to_client(), IsEmpty());
  s.server('1', {});
  s.server('2', {});
  s.server_complete("SELECT 0");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 0", "CloseComplete", "Ready I"));
}

// Another client, or a server that is lost in between, must not see half a description.
TEST(Session, shares_a_description_only_when_it_is_whole) {
  SessionScript s;
  const char* text = "SELECT caption FROM media WHERE user_id = $1";
  s.parse("a", text);
  s.describe('S', "a"), s.grant(), s.describe('S', "a");
  s.server('1', {});
  s.server('t', std::string("\0\1\0\0\0\x14", 6));
  PreparedStatement& shared = s.statements.acquire({"", text, {}}, s.router, *s.environment.catalog);
  EXPECT_EQ(shared.description, "");
  s.server('T', std::string(2, '\0'));
  EXPECT_EQ(shared.description.size(), 11u + 7u);
  s.statements.release(shared);
}

// Two clients prepare the same statement at once; the second finds it described when its turn comes.
TEST(Session, routes_by_the_key_after_a_description_that_came_meanwhile) {
  SessionScript s;
  const char* text = "INSERT INTO media (user_id) VALUES ($1)";
  s.parse("a", text);
  EXPECT_EQ(s.describe('S', "a"), Intake::kLater);
  PreparedStatement& shared = s.statements.acquire({"", text, {}}, s.router, *s.environment.catalog);
  shared.is_accepted = true;
  shared.schema_version = s.statements.schema_version();
  shared.description = std::string("t\0\0\0\6\0\0n\0\0\0\4", 12);
  s.grant();
  EXPECT_EQ(s.describe('S', "a"), Intake::kTaken);
  const int64_t user = s.user_on("pg1", 3);
  ASSERT_EQ(s.bind("", "a", {std::to_string(user)}), Intake::kTaken);
  EXPECT_THAT(s.to_server(), testing::Contains(HasSubstr(s.schema_of_user(user) + ".media")));
  s.statements.release(shared);
}

TEST(StatementCache, does_not_take_declared_types_for_text) {
  SessionScript s;
  // The bytes of type and text together are the same.
  PreparedStatement& plain = s.statements.acquire({"", "SELECT 1", {}}, s.router, *s.environment.catalog);
  PreparedStatement& typed = s.statements.acquire({"", "CT 1", "SELE"}, s.router, *s.environment.catalog);
  EXPECT_NE(&plain, &typed);
  EXPECT_EQ(plain.text(), "SELECT 1");
  EXPECT_EQ(typed.text(), "CT 1");
  s.statements.release(plain);
  s.statements.release(typed);
}

}  // namespace
}  // namespace mosaic::proxy
