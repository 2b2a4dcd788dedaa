// Conversations of one client with a session, line by line: client> and server> in, what each side gets out.

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

// A one-statement transaction that succeeded.
void run_simple(SessionScript& s, const std::string& text, const std::string& tag = "SELECT 1") {
  if (s.query(text) == Intake::kLater) {
    s.grant();
    ASSERT_EQ(s.query(text), Intake::kTaken);
  }
  s.to_server();
  s.server_complete(tag);
  s.server_ready('I');
  s.to_client();
  ASSERT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(Session, sends_a_query_to_its_shard_and_returns_the_lease) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  const std::string text = fmt::format("SELECT caption FROM media WHERE user_id = {}", user);
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_FALSE(s.session->can_take());
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_EQ(s.query(text), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre(fmt::format("Query SELECT caption FROM {}.media WHERE user_id = {}",
                                                     s.schema_of_user(user), user)));
  s.server('T', std::string(2, '\0'));
  s.server('D', std::string(2, '\0'));
  s.server_complete("SELECT 1");
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("RowDescription", "Row", "Complete SELECT 1", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.session->can_take());
}

// RELOAD can shrink the cache while a client waits: what was found for its statement is gone then.
TEST(Session, looks_a_statement_up_again_when_its_plan_has_gone_meanwhile) {
  for (int change = 0; change < 3; ++change) {
    SessionScript s;
    const int64_t user = s.user_on("pg2");
    const std::string text = fmt::format("SELECT caption FROM media WHERE user_id = {}", user);
    const std::string body = text + '\0';
    ASSERT_EQ(s.session->on_client_frame('Q', body), Intake::kLater);
    const uint64_t misses = s.router.statistics().misses;
    if (change == 0) s.router.set_shape_cache_bytes(0);
    if (change == 1) s.router.analyze("SELECT 1, 2, 3", *s.environment.catalog);  // another client's
    s.grant();
    ASSERT_EQ(s.session->on_client_frame('Q', body), Intake::kTaken);
    EXPECT_THAT(s.to_server(),
                ElementsAre(fmt::format("Query SELECT caption FROM {}.media WHERE user_id = {}",
                                        s.schema_of_user(user), user)));
    EXPECT_EQ(s.router.statistics().misses - misses, change == 2 ? 0u : 1u) << change;
  }
}

// The client's text is read as a server has said that it reads it.
TEST(Session, reads_statements_as_the_server_does) {
  SessionScript s;
  const int64_t user = s.user_on("pg2"), other = s.user_on("pg1");
  const std::string text = fmt::format(
      "SELECT 1 FROM media WHERE caption <> '\\' AND user_id = {} --' AND user_id = {}", other, user);
  run_simple(s, fmt::format("SELECT 1 FROM media WHERE user_id = {}", user));
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg1");
  s.query(text);
  s.server('S', std::string("standard_conforming_strings\0off\0", 32));
  s.server_complete("SELECT 0");
  s.server_ready('I');
  s.lease_end();
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
}

// While its answer is out, a change of how texts are read leaves open what the next one says.
TEST(Session, reads_nothing_behind_a_change_of_reading_before_its_sync) {
  for (const char* change : {"SET standard_conforming_strings = off", "SET client_encoding TO 'LATIN1'",
                             "RESET ALL", "SELECT set_config('standard_conforming_strings', 'off', false)"}) {
    SessionScript s;
    s.parse("", change);
    ASSERT_EQ(s.bind("", ""), Intake::kLater) << change;
    s.grant();
    s.bind("", "");
    s.execute();
    s.to_server();
    EXPECT_EQ(s.parse("", "SELECT '\\\\'"), Intake::kTaken);
    EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Parse [] mosaic refused a statement: 0A000"), "Flush"))
        << change;
  }
}

TEST(Session, refuses_a_statement_without_a_key_and_goes_on) {
  SessionScript s;
  EXPECT_EQ(s.query("SELECT * FROM media WHERE caption = 'x'"), Intake::kTaken);
  EXPECT_FALSE(s.wants_lease());
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ010"), "Ready I"));
}

TEST(Session, answers_begin_itself_until_the_first_routed_statement) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  EXPECT_EQ(s.query("BEGIN"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Complete BEGIN", "Ready T"));
  EXPECT_FALSE(s.wants_lease());
  const std::string text = fmt::format("DELETE FROM media WHERE user_id = {}", user);
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  s.query(text);
  EXPECT_THAT(s.to_server(),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", StartsWith("Query DELETE")));
  s.server('1', {});
  s.server('2', {});
  s.server_complete("BEGIN");
  s.server_complete("DELETE 2");
  s.server_ready('T');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DELETE 2", "Ready T"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.query("COMMIT");
  EXPECT_THAT(s.to_server(), ElementsAre("Query COMMIT"));
  s.server_complete("COMMIT");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete COMMIT", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(Session, answers_an_empty_transaction_itself) {
  SessionScript s;
  s.query("BEGIN");
  s.query("SAVEPOINT a");
  s.query("ROLLBACK TO a");
  s.query("RELEASE a");
  s.query("COMMIT");
  EXPECT_THAT(s.to_client(),
              ElementsAre("Complete BEGIN", "Ready T", "Complete SAVEPOINT", "Ready T", "Complete ROLLBACK",
                          "Ready T", "Complete RELEASE", "Ready T", "Complete COMMIT", "Ready I"));
  EXPECT_FALSE(s.wants_lease());
}

// A refusal is an error of the transaction: the server that has it must know.
TEST(Session, fails_a_transaction_on_a_server_at_a_refused_statement_until_rollback) {
  SessionScript s;
  s.query("BEGIN");
  EXPECT_EQ(s.query("SELECT * FROM media"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Complete BEGIN", "Ready T"));
  s.grant();
  EXPECT_THAT(s.to_server(), ElementsAre("Parse [] BEGIN", "Bind []", "Execute []",
                                         "Query mosaic refused a statement: MZ010"));
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_error("42601", "syntax error");
  s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ010"), "Ready E"));
  const std::string elsewhere = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(elsewhere), Intake::kTaken) << "the server says that the transaction has failed";
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query SELECT 1")));
  s.server_error("25P02", "current transaction is aborted");
  s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 25P02"), "Ready E"));
  s.query("COMMIT");
  EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query COMMIT"));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(Session, fails_a_transaction_by_itself_at_a_refused_statement_when_no_server_is_to_be_had) {
  SessionScript s;
  s.query("BEGIN"), s.query("SAVEPOINT a"), s.query("SELECT * FROM media");
  s.to_client();
  for (int node = 0; node < 2; ++node) {
    ASSERT_TRUE(s.wants_lease());
    s.outbox.lease_request.reset();
    s.session->on_lease_failed(routing::Error{"MZ020", "node is down", "", ""});
  }
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ010"), "Ready E"));
  s.query("SELECT 1");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 25P02"), "Ready E"));
  s.query("ROLLBACK TO a");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready T"));
  s.query("COMMIT");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete COMMIT", "Ready I"));
}

TEST(Session, refuses_a_second_node_in_a_transaction_and_makes_the_server_fail_it) {
  SessionScript s;
  s.query("BEGIN");
  const std::string first = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1"));
  s.query(first);
  s.grant();
  s.query(first);
  for (const char type : {'1', '2'}) s.server(type, {});
  s.server_complete("BEGIN");
  s.server_complete("SELECT 0");
  s.server_ready('T');
  s.to_client();
  s.to_server();
  s.query(fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2")));
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("refused")));
  s.server_error("42601", "syntax error");
  s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ014"), "Ready E"));
}

TEST(Session, takes_a_transaction_that_read_the_catalog_to_the_node_of_its_first_key) {
  SessionScript s;
  s.query("BEGIN");
  EXPECT_EQ(s.query("SELECT version()"), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg1");
  s.query("SELECT version()");
  s.to_client();
  EXPECT_THAT(s.answer({"BEGIN"}, 'T'),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", "Query SELECT version()"));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 1", "Ready T"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query ROLLBACK"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_EQ(s.query(text), Intake::kTaken);
  EXPECT_THAT(s.to_server(),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", StartsWith("Query SELECT 1")));
  EXPECT_THAT(s.to_client(), IsEmpty());
}

TEST(Session, begins_a_snapshot_transaction_before_anything_else) {
  for (const char* node : {"pg1", "pg2"}) {
    SCOPED_TRACE(node);
    SessionScript s;
    s.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    s.parse("a", "SELECT 1 FROM media WHERE user_id = $1");
    s.describe('S', "a");
    EXPECT_EQ(s.grant(), "pg1");
    s.describe('S', "a");
    s.flush();
    EXPECT_THAT(s.answer({"BEGIN"}, 'T'),
                ElementsAre("Parse [] BEGIN ISOLATION LEVEL REPEATABLE READ", "Bind []", "Execute []",
                            StartsWith("Parse [mosaic_"), StartsWith("Describe S [mosaic_"), "Flush"));
    const std::string user = std::to_string(s.user_on(node));
    if (s.bind("", "a", {user}) == Intake::kLater) {
      EXPECT_STREQ(node, "pg2");
      EXPECT_THAT(s.to_server(), ElementsAre("Sync"));
      s.server_ready('T');
      EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
      s.server_complete("ROLLBACK"), s.server_ready('I');
      EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
      EXPECT_EQ(s.bind("", "a", {user}), Intake::kLater);
      EXPECT_EQ(s.grant(), "pg2");
      EXPECT_EQ(s.bind("", "a", {user}), Intake::kTaken);
      EXPECT_THAT(s.to_server()[0], HasSubstr("BEGIN ISOLATION LEVEL"));
    } else {
      EXPECT_STREQ(node, "pg1");
      EXPECT_THAT(s.to_server(), testing::Each(testing::Not(HasSubstr("BEGIN"))));
    }
  }
}

TEST(Session, maps_an_error_position_back_to_the_clients_text) {
  SessionScript s;
  const std::string text = fmt::format("SELECT 'é', x FROM media WHERE user_id = {}", s.user_on("pg2"));
  s.query(text);
  s.grant();
  s.query(text);
  const auto field = [](char code, const std::string& value) { return code + value + '\0'; };
  // "x" is the 13th character; "WHERE" the 26th, and 11 more in the text that was sent: "shard_000N.".
  s.server('E',
           field('C', "42703") + field('M', "no such column") + field('P', std::to_string(26 + 11)) + '\0');
  EXPECT_NE(s.client_out.view().find(std::string("P26") + '\0'), std::string_view::npos);
}

// The statement is well-formed: its Parse is answered before its Bind is refused.
TEST(Session, skips_to_sync_after_an_error_in_a_pipeline) {
  SessionScript s;
  s.parse("", "SELECT * FROM media WHERE caption = $1");
  EXPECT_EQ(s.bind("", "", {"x"}), Intake::kLater);
  s.grant();
  EXPECT_EQ(s.bind("", "", {"x"}), Intake::kTaken);
  s.execute();
  s.parse("", "SELECT 1");
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Parse [] SELECT *"), HasSubstr("refused"), "Flush"));
  s.server('1', {}), s.server_error("42601", "syntax error");
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", StartsWith("Error MZ010")));
  s.sync();
  EXPECT_THAT(s.answer({}, 'I'), ElementsAre("Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(Session, rolls_a_pipeline_back_when_a_later_statement_is_refused) {
  SessionScript s;
  const int64_t user = s.user_on("pg1");
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  s.bind("", "", {std::to_string(user)});
  s.grant();
  s.bind("", "", {std::to_string(user)});
  s.execute();
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  s.bind("", "", {std::to_string(s.user_on("pg2"))});
  s.execute();
  s.sync();
  // The second Parse is right, and is answered by the node that the pipeline is on.
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Parse [] INSERT"), "Bind []", "Execute []",
                                         StartsWith("Parse [] INSERT INTO shard_0000"), HasSubstr("refused"),
                                         "Flush", "Sync"));
  s.server('1', {});
  s.server('2', {});
  s.server_complete("INSERT 0 1");
  s.server('1', {});
  s.server_error("42601", "syntax error");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete INSERT 0 1",
                                         "ParseComplete", StartsWith("Error MZ014"), "Ready I"));
}

TEST(Session, applies_the_clients_settings_to_the_next_server_first) {
  SessionScript s;
  run_simple(s, "SET timezone TO 'UTC'", "SET");
  pool::ServerMemory other;
  other.settings = s.name_values.empty();
  other.parameters = s.memory.parameters;
  s.memory = std::move(other);
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  s.query(text);
  s.grant();
  EXPECT_THAT(s.to_server(), ElementsAre("Query SET TIME ZONE 'UTC'"));
  s.server_complete("SET");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), IsEmpty());
  EXPECT_EQ(s.query(text), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query SELECT 1")));
}

TEST(Session, forgets_a_setting_whose_transaction_is_rolled_back) {
  SessionScript s;
  s.query("BEGIN");
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg1"));
  s.query(text);
  s.grant();
  s.query(text);
  for (const char type : {'1', '2'}) s.server(type, {});
  s.server_complete("BEGIN");
  s.server_complete("SELECT 0");
  s.server_ready('T');
  s.query("SET statement_timeout TO 5");
  s.server_complete("SET");
  s.server_ready('T');
  EXPECT_FALSE(s.memory.settings->is_empty());
  s.query("ROLLBACK");
  s.server_complete("ROLLBACK");
  s.server_ready('I');
  EXPECT_TRUE(s.memory.settings->is_empty());
}

TEST(Session, routes_by_a_hint_that_was_set) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  s.query(fmt::format("SET mosaic.user_id = '{}'", user));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete SET", "Ready I"));
  s.query("SELECT count(*) FROM media");
  EXPECT_EQ(s.wanted_node(), "pg2");
  s.grant();
  s.query("SELECT count(*) FROM media");
  EXPECT_THAT(s.to_server(),
              ElementsAre(fmt::format("Query SELECT count(*) FROM {}.media", s.schema_of_user(user))));
}

TEST(Session, answers_a_failed_lease_with_its_error) {
  SessionScript s;
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  s.outbox.lease_request.reset();
  s.session->on_lease_failed(routing::Error{"MZ020", "node is down", "", ""});
  EXPECT_EQ(s.query(text), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Error MZ020 node is down", "Ready I"));
}

TEST(Session, cancels_a_statement_that_waits) {
  SessionScript s;
  const std::string text = fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
  s.query(text);
  s.session->on_cancel_request();
  EXPECT_TRUE(s.outbox.stop_waiting);
  s.query(text);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 57014"), "Ready I"));
}

std::string text_on_pg2(const SessionScript& s) {
  return fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
}

// Between two statements the client can not be told that its server is gone: the next one must tell it, and a
// COMMIT answered with ROLLBACK is not how programs expect to hear of it.
TEST(Session, answers_commit_with_an_error_when_the_server_was_lost_unseen) {
  for (const bool is_extended : {false, true}) {
    SessionScript s;
    const std::string text = text_on_pg2(s);
    s.query("BEGIN");
    s.query(text);
    s.grant();
    s.query(text);
    for (const char type : {'1', '2'}) s.server(type, {});
    s.server_complete("BEGIN");
    s.server_complete("SELECT 0");
    s.server_ready('T');
    s.to_client();
    s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
    EXPECT_THAT(s.to_client(), ElementsAre());
    if (is_extended) {
      s.parse("", "COMMIT");
      s.bind("", "");
      s.execute();
      s.sync();
      EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Error 08006 lost", "Ready I"));
    } else {
      s.query("COMMIT");
      EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
    }
    EXPECT_FALSE(s.session->is_in_transaction());
  }
}

TEST(Session, answers_commit_with_rollback_when_the_loss_was_told) {
  SessionScript s;
  const std::string text = text_on_pg2(s);
  s.query("BEGIN");
  s.query(text);
  s.grant();
  s.query(text);
  for (const char type : {'1', '2'}) s.server(type, {});
  s.server_complete("BEGIN");
  s.server_complete("SELECT 0");
  s.server_ready('T');
  s.to_client();
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  s.query(text);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready E"));
  s.query("COMMIT");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete ROLLBACK", "Ready I"));
}

TEST(Session, takes_a_transaction_to_a_server_when_it_has_said_too_much) {
  SessionScript s;
  s.environment.max_held_bytes = 1024;
  s.query("BEGIN");
  int said = 1;
  while (said < 100 && s.query("SAVEPOINT a") == Intake::kTaken) ++said;
  EXPECT_GT(said, 2);
  EXPECT_LT(said, 50);
  s.grant();
  EXPECT_EQ(s.query("SAVEPOINT a"), Intake::kTaken);
  s.to_client();
  const auto sent = s.answer({}, 'T');
  EXPECT_EQ(sent.size(), 3u * static_cast<size_t>(said) + 1);
  EXPECT_EQ(sent.back(), "Query SAVEPOINT a");
  EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 1", "Ready T"));
  for (int i = 0; i < 5; ++i) s.query("SAVEPOINT a"), s.answer({"SAVEPOINT"}, 'T');
  s.to_client();
  // What is not kept can not be said again: the transaction stays where it is.
  EXPECT_EQ(s.query(fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"))), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("refused a statement: MZ014")));
}

TEST(Session, bounds_the_portals_of_statements_that_it_answers_itself) {
  SessionScript s;
  s.environment.max_held_bytes = 4096;
  s.parse("", "DISCARD PLANS");
  std::vector<std::string> said;
  for (int i = 0; i < 200; ++i) s.bind(fmt::format("portal {}", i), "");
  s.sync();
  EXPECT_THAT(s.to_client(), testing::Contains(StartsWith("Error 54000 too many portals")));
}

}  // namespace
}  // namespace mosaic::proxy
