// Transactions that any node could have begun: they move to the node of their first key, and say there what
// was said before; what happened only here keeps them here.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

using Said = std::vector<std::pair<std::string, std::string>>;  // statement, tag

std::string keyed(const SessionScript& s, const char* node) {
  return fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on(node));
}

// Says these statements, the ones that need a server on one; then what `keyed` on pg2 makes of it: the
// statements that pg2 is told, or the error.
std::vector<std::string> then_keyed_on_pg2(SessionScript& s, const Said& statements) {
  for (const auto& [text, tag] : statements) {
    if (s.query(text) == Intake::kLater) s.grant(), s.query(text);
    if (!s.session->holds_server()) continue;
    const auto sent = s.to_server();
    for (const std::string& line : sent) {
      if (line.starts_with("Parse")) s.server('1', {}), s.server('2', {}), s.server_complete("said");
    }
    for (size_t at = 0, end = 0; end != std::string::npos; at = end + 1) {  // "COMMIT;BEGIN"
      end = tag.find(';', at);
      s.server_complete(tag.substr(at, end - at));
    }
    s.server_ready('T');
  }
  s.to_client();
  const std::string text = keyed(s, "pg2");
  if (s.query(text) == Intake::kLater) {
    EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query ROLLBACK"));
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
    EXPECT_EQ(s.query(text), Intake::kLater);
    EXPECT_EQ(s.grant(), "pg2");
    EXPECT_EQ(s.query(text), Intake::kTaken);
  }
  std::vector<std::string> told;
  for (const std::string& line : s.to_server()) {
    if (line.starts_with("Parse [] ")) told.push_back(line.substr(9));
    if (line.starts_with("Query ")) told.push_back(line);
  }
  EXPECT_THAT(s.to_client(), IsEmpty()) << "moving is not seen";
  return told;
}

const std::string kRefused = "Query mosaic refused a statement: MZ014";

TEST(SessionPortable, says_settings_and_savepoints_again_in_their_order) {
  SessionScript s;
  EXPECT_THAT(
      then_keyed_on_pg2(s, {{"BEGIN READ WRITE", ""},
                            {"SAVEPOINT a", ""},
                            {"SET LOCAL work_mem = '1MB'", "SET"},
                            {"SAVEPOINT b", "SAVEPOINT"},
                            {"SET LOCAL work_mem = '2MB'", "SET"},
                            {"ROLLBACK TO b", "ROLLBACK"},
                            {"SELECT 1", "SELECT 1"},
                            {"RELEASE b", "RELEASE"}}),
      ElementsAre("BEGIN READ WRITE", "SAVEPOINT a", "SET LOCAL work_mem = '1MB'", "SAVEPOINT b",
                  "SET LOCAL work_mem = '2MB'", "ROLLBACK TO b", "RELEASE b", StartsWith("Query SELECT")));
  EXPECT_EQ(s.environment.moved_transactions, 1u);
}

TEST(SessionPortable, says_set_config_again) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""}, {"SELECT set_config('app.uid', '3', true)", "SELECT 1"}}),
              ElementsAre("BEGIN", "SELECT set_config('app.uid', '3', true)", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, says_set_constraints_and_set_transaction_again) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""},
                                    {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET"},
                                    {"SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS"}}),
              ElementsAre("BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                          "SET CONSTRAINTS ALL DEFERRED", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, says_begin_again_that_came_with_the_first_statement) {
  SessionScript s;
  s.send("BEGIN; SELECT 1"), s.to_server();
  s.server_complete("BEGIN"), s.server_complete("SELECT 1"), s.server_ready('T');
  EXPECT_THAT(then_keyed_on_pg2(s, {}), ElementsAre("BEGIN", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, shows_what_is_in_force_and_goes_on_elsewhere) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(
                  s, {{"BEGIN ISOLATION LEVEL REPEATABLE READ", ""}, {"SHOW transaction_isolation", "SHOW"}}),
              ElementsAre("BEGIN ISOLATION LEVEL REPEATABLE READ", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, begins_where_the_clients_latest_shard_is) {
  SessionScript s;
  s.send(keyed(s, "pg2")), s.answer({}, 'I'), s.lease_end();
  s.query("BEGIN");
  EXPECT_EQ(s.query("SELECT 1"), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
}

// Found by a node that was killed while a transaction was on its way from it: nothing was lost there.
TEST(SessionPortable, moves_from_a_server_that_is_lost_while_it_is_left) {
  SessionScript s;
  s.query("BEGIN"), s.query("SELECT 1"), s.grant(), s.query("SELECT 1");
  s.answer({"BEGIN", "SELECT 1"}, 'T');
  const std::string text = keyed(s, "pg2");
  ASSERT_EQ(s.query(text), Intake::kLater);
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
  s.to_client();
  s.lose_server();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  EXPECT_EQ(s.query(text), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_EQ(s.query(text), Intake::kTaken);
  EXPECT_THAT(s.to_server(), Contains("Parse [] BEGIN"));
  EXPECT_THAT(s.to_client(), IsEmpty());
}

// A statement that failed and was rolled back happened nowhere.
TEST(SessionPortable, moves_after_an_error_that_a_savepoint_takes_back) {
  SessionScript s;
  s.query("BEGIN"), s.query("SAVEPOINT a");
  s.send("SELECT 1 / 0"), s.to_server();
  for (int i = 0; i < 2; ++i) s.server('1', {}), s.server('2', {}), s.server_complete("said");
  s.server_error("22012", "division by zero"), s.server_ready('E');
  EXPECT_THAT(then_keyed_on_pg2(s, {{"ROLLBACK TO a", "ROLLBACK"}}),
              ElementsAre("BEGIN", "SAVEPOINT a", "ROLLBACK TO a", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, stays_where_it_has_failed) {
  SessionScript s;
  s.query("BEGIN");
  s.send("SELECT 1 / 0"), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_error("22012", "division by zero"), s.server_ready('E');
  s.to_client();
  EXPECT_EQ(s.query(keyed(s, "pg2")), Intake::kTaken) << "the server that has it says 25P02";
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query SELECT 1")));
  EXPECT_EQ(s.environment.moved_transactions, 0u);
}

// --- what binds ---

TEST(SessionPortable, is_bound_by_a_key) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""}, {keyed(s, "pg1"), "SELECT 0"}}), ElementsAre(kRefused));
}

TEST(SessionPortable, is_bound_by_a_read_under_repeatable_read) {
  for (const char* begin :
       {"BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"}) {
    SessionScript s;
    EXPECT_THAT(then_keyed_on_pg2(s, {{begin, ""}, {"SELECT now()", "SELECT 1"}}), ElementsAre(kRefused));
  }
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""},
                                    {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET"},
                                    {"SELECT 1", "SELECT 1"}}),
              ElementsAre(kRefused));
}

TEST(SessionPortable, is_not_bound_by_a_reference_table_which_all_nodes_have) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""}, {"SELECT * FROM countries", "SELECT 1"}}),
              ElementsAre("BEGIN", StartsWith("Query SELECT 1")));
}

TEST(SessionPortable, is_bound_by_a_cursor) {
  SessionScript s;
  EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""}, {"DECLARE c CURSOR FOR SELECT 1", "DECLARE CURSOR"}}),
              ElementsAre(kRefused));
}

TEST(SessionPortable, is_bound_by_what_may_have_an_effect) {
  for (const char* text : {"SELECT nextval('s')", "NOTIFY x", "DO $$ BEGIN END $$", "SELECT unknown()"}) {
    SCOPED_TRACE(text);
    SessionScript s;
    EXPECT_THAT(then_keyed_on_pg2(s, {{"BEGIN", ""}, {text, "SELECT 1"}}), ElementsAre(kRefused));
  }
}

TEST(SessionPortable, is_not_bound_by_a_binding_statement_that_was_committed) {
  SessionScript s;
  EXPECT_THAT(
      then_keyed_on_pg2(
          s, {{"BEGIN", ""}, {keyed(s, "pg1"), "SELECT 0"}, {"COMMIT; BEGIN READ ONLY", "COMMIT;BEGIN"}}),
      ElementsAre("BEGIN READ ONLY", StartsWith("Query SELECT 1")));
}

// A chained transaction is open, though nobody has said BEGIN: nothing may run outside of it.
TEST(SessionPortable, runs_nothing_outside_of_a_chained_transaction) {
  for (const char* end : {"COMMIT AND CHAIN", "ROLLBACK AND CHAIN"}) {
    SCOPED_TRACE(end);
    SessionScript s;
    const auto told = then_keyed_on_pg2(s, {{"BEGIN READ ONLY", ""},
                                            {keyed(s, "pg1"), "SELECT 0"},
                                            {end, std::string(end).substr(0, std::string(end).find(' '))}});
    ASSERT_FALSE(told.empty());
    EXPECT_THAT(told[0], testing::AnyOf("BEGIN READ ONLY", kRefused));
  }
}

// What may have left traces was committed or not, the server has them.
TEST(SessionPortable, leaves_no_server_with_traces_behind_when_it_moves) {
  for (const char* end : {"COMMIT; BEGIN", "ROLLBACK; BEGIN", "COMMIT AND CHAIN"}) {
    for (const char* leaves :
         {"DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", "SELECT pg_advisory_lock(1)"}) {
      SCOPED_TRACE(fmt::format("{}, {}", leaves, end));
      SessionScript s;
      s.query("BEGIN"), s.send(leaves), s.answer({"BEGIN", "DONE"}, 'T');
      s.query(end), s.to_server();
      s.server_complete(std::string_view(end).starts_with("C") ? "COMMIT" : "ROLLBACK");
      if (!std::string_view(end).ends_with("CHAIN")) s.server_complete("BEGIN");
      s.server_ready('T');
      if (s.query(keyed(s, "pg2")) == Intake::kTaken) continue;  // refused: it stays
      bool is_rested = false;
      while (s.lease_end() == LeaseEnd::kNone) {
        const auto sent = s.to_server();
        ASSERT_FALSE(sent.empty());
        is_rested |= sent.back().find("RESET ALL") != std::string::npos;
        s.server_row("0"), s.server_complete("DONE"), s.server_ready('I');
      }
      EXPECT_TRUE(is_rested) << "the next client waits for the lock";
    }
  }
}

// --- a transaction that failed here, because no server was to be had ---

void fail_without_server(SessionScript& s) {
  s.query("BEGIN"), s.query("SELECT * FROM media");
  while (s.wants_lease()) {
    s.outbox.lease_request.reset();
    s.session->on_lease_failed(routing::Error{"MZ020", "node is down", "", ""});
  }
  ASSERT_EQ(s.to_client().back(), "Ready E");
}

// A server is brought to where the transaction has failed.
void grant_to_failed(SessionScript& s) {
  s.grant();
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query BEGIN;")));
  s.server_complete("BEGIN"), s.server_error("22012", "division by zero"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), testing::IsEmpty());
}

// Runs `text`, on a server if it wants one; the last thing that the client is told.
std::string last_word_of(SessionScript& s, const std::string& text, char status) {
  if (s.query(text) == Intake::kLater) {
    grant_to_failed(s);
    EXPECT_EQ(s.query(text), Intake::kTaken);
  }
  for (const std::string& line : s.to_server()) {
    if (line.starts_with("Parse")) s.server('1', {});
    if (line.starts_with("Bind")) s.server('2', {});
    if (line.starts_with("Execute") || line.starts_with("Query")) s.server_complete("DONE");
    if (line.starts_with("Query")) s.server_ready(status);
  }
  const auto told = s.to_client();
  EXPECT_THAT(told, Each(Not(StartsWith("Error")))) << text;
  return told.empty() ? "" : told.back();
}

TEST(SessionPortable, is_ended_by_a_query_of_several_when_it_has_failed_without_a_server) {
  for (const char* text : {"ROLLBACK; SELECT 1", "COMMIT; SELECT 1", "ROLLBACK; BEGIN", "COMMIT; BEGIN"}) {
    SCOPED_TRACE(text);
    const char status = std::string_view(text).ends_with("BEGIN") ? 'T' : 'I';
    SessionScript s;
    fail_without_server(s);
    EXPECT_EQ(last_word_of(s, text, status), fmt::format("Ready {}", status));
  }
}

TEST(SessionPortable, is_chained_when_it_has_failed_without_a_server) {
  for (const char* text : {"ROLLBACK AND CHAIN", "COMMIT AND CHAIN"}) {
    SessionScript s;
    fail_without_server(s);
    EXPECT_EQ(last_word_of(s, text, 'T'), "Ready T");
    EXPECT_TRUE(s.session->is_in_transaction());
  }
}

TEST(SessionPortable, is_ended_in_one_batch_when_it_has_failed_without_a_server) {
  SessionScript s;
  fail_without_server(s);
  s.send_extended("ROLLBACK"), s.send_extended("SELECT 1"), s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete ROLLBACK",
                                         "ParseComplete", "BindComplete", "Complete SELECT 1", "Ready I"));
}

TEST(SessionPortable, knows_a_lost_transaction_by_its_modes) {
  Transaction transaction;
  transaction.say("SET work_mem = '1MB'", false, 1000);
  transaction.say("SET TRANSACTION READ WRITE", true, 1000);
  transaction.say("begin read only", true, 1000);
  transaction.say("SAVEPOINT a", false, 1000);
  transaction.lose(routing::Error{"MZ020", "node is down", "", ""}, true);
  EXPECT_THAT(transaction.said(), ElementsAre("begin read only"));
  EXPECT_EQ(transaction.is_read_only(), std::optional(true));
}

TEST(SessionPortable, keeps_no_more_modes_than_it_has_room_for) {
  Transaction transaction;
  transaction.begin("BEGIN", false);
  transaction.bind();
  transaction.say("SET TRANSACTION READ ONLY", true, 1000);
  EXPECT_TRUE(transaction.may_chain());
  for (int i = 0; i < 100; ++i) transaction.say("SET TRANSACTION READ ONLY", true, 1000);
  EXPECT_FALSE(transaction.may_chain()) << "what it is, is not known any more";
}

// --- a segment of the extended protocol: a transaction without BEGIN ---

TEST(SessionPortable, moves_a_segment_to_the_node_of_its_first_key) {
  SessionScript s;
  s.send_extended("SELECT 1");
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  const std::vector<std::string> user{std::to_string(s.user_on("pg2"))};
  EXPECT_EQ(s.bind("", "", user), Intake::kLater);
  EXPECT_THAT(s.answer({"SELECT 1"}, 'I'), ElementsAre("Parse [] SELECT 1", "Bind []", "Execute []", "Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 1")) << "no Ready";
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.bind("", "", user), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_EQ(s.bind("", "", user), Intake::kTaken);
  s.execute(), s.sync();
  EXPECT_THAT(s.answer({"INSERT 0 1"}, 'I'),
              ElementsAre(StartsWith("Parse [] INSERT"), "Bind []", "Execute []", "Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete INSERT 0 1", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionPortable, says_a_segments_settings_again) {
  SessionScript s;
  s.send_extended("SET work_mem = '1MB'");
  s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
  const std::vector<std::string> user{std::to_string(s.user_on("pg2"))};
  EXPECT_EQ(s.bind("", "", user), Intake::kLater);
  s.answer({"SET"}, 'I');
  while (s.lease_end() == LeaseEnd::kNone) ASSERT_FALSE(s.answer({}, 'I').empty());
  EXPECT_EQ(s.bind("", "", user), Intake::kLater);
  s.memory.settings = s.name_values.empty();  // another server
  EXPECT_EQ(s.grant(), "pg2");
  if (s.session->phase() == Session::Phase::kPreparing) {
    EXPECT_THAT(s.answer({"SET"}, 'I'), ElementsAre(HasSubstr("work_mem")));
    EXPECT_EQ(s.bind("", "", user), Intake::kTaken);
    s.execute(), s.sync();
  } else {
    EXPECT_EQ(s.bind("", "", user), Intake::kTaken);
    s.execute(), s.sync();
    EXPECT_THAT(s.to_server()[0], HasSubstr("work_mem"));
  }
  EXPECT_NE(s.memory.settings->find("work_mem"), nullptr);
}

TEST(SessionPortable, prepares_elsewhere_what_any_node_answers_when_its_server_is_lost_first) {
  SessionScript s;
  s.send("SET work_mem = '1MB'");
  s.answer({"SET"}, 'I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  s.memory.settings = s.name_values.empty();  // another server
  EXPECT_EQ(s.query("SELECT 1"), Intake::kLater);
  const std::string first = s.grant();
  ASSERT_EQ(s.session->phase(), Session::Phase::kPreparing);
  EXPECT_TRUE(s.session->may_go_elsewhere());
  s.to_server(), s.to_client();
  s.session->on_server_lost(routing::Error{"08006", "connection was lost", "", ""}, false);
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  s.memory.settings = s.name_values.empty();  // another server
  EXPECT_NE(s.grant(), first);
  s.answer({"SET"}, 'I');
  EXPECT_EQ(s.query("SELECT 1"), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre("Query SELECT 1"));
  EXPECT_TRUE(s.to_client().empty());
}

TEST(SessionPortable, tells_of_a_server_that_is_lost_before_a_statement_of_its_shard) {
  SessionScript s;
  s.send("SET work_mem = '1MB'");
  s.answer({"SET"}, 'I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  s.memory.settings = s.name_values.empty();  // another server
  EXPECT_EQ(s.query("SELECT 1 FROM media WHERE user_id = " + std::to_string(s.user_on("pg2"))),
            Intake::kLater);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_FALSE(s.session->may_go_elsewhere());
  s.session->on_server_lost(routing::Error{"08006", "connection was lost", "", ""}, false);
  EXPECT_FALSE(s.wants_lease());
}

TEST(SessionPortable, stays_in_the_segment_that_fails_while_it_is_to_move) {
  SessionScript s;
  s.send_extended("SELECT 1 / 0");
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  const std::vector<std::string> user{std::to_string(s.user_on("pg2"))};
  EXPECT_EQ(s.bind("", "", user), Intake::kLater);
  s.server('1', {}), s.server('2', {}), s.server_error("22012", "division by zero"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", StartsWith("Error 22012")));
  EXPECT_EQ(s.bind("", "", user), Intake::kTaken) << "skipped";
  s.execute(), s.sync();
  EXPECT_FALSE(s.wants_lease());
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionPortable, keeps_a_segment_with_an_open_portal) {
  SessionScript s;
  s.parse("p", "SELECT 1");
  s.bind("portal", "p"), s.grant(), s.bind("portal", "p");
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  EXPECT_EQ(s.bind("", "", {std::to_string(s.user_on("pg2"))}), Intake::kTaken);
  EXPECT_THAT(s.to_server(), testing::Contains(HasSubstr("refused a statement: MZ014")));
}

TEST(SessionPortable, skips_a_pipeline_behind_an_error_of_a_transaction_that_it_began) {
  SessionScript s;
  s.parse("", "BEGIN"), s.bind("", ""), s.execute();
  s.send_extended("SELECT 1 / 0");
  s.parse("", "INSERT INTO media (user_id) VALUES ($1)");
  s.to_client();
  const std::vector<std::string> user{std::to_string(s.user_on("pg1"))};
  ASSERT_EQ(s.bind("", "", user), Intake::kTaken);
  s.execute(), s.sync();
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server('1', {}), s.server('2', {}), s.server_error("22012", "division by zero"), s.server_ready('E');
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", StartsWith("Error 22012"), "Ready E"));
  EXPECT_TRUE(s.session->is_in_transaction());
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
}

TEST(SessionPortable, takes_a_failed_transaction_on_behind_its_rollback_in_one_batch) {
  SessionScript s;
  s.query("BEGIN");
  s.send(keyed(s, "pg1")), s.answer({"BEGIN"}, 'T');
  s.query("SELECT 1 / 0"), s.to_server(), s.server_error("22012", "division by zero"), s.server_ready('E');
  s.to_client();
  s.send_extended("ROLLBACK");
  s.send_extended("SELECT 1");
  s.sync();
  EXPECT_THAT(s.answer({"ROLLBACK", "SELECT 1"}, 'I'), testing::Contains("Parse [] SELECT 1"));
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete ROLLBACK",
                                         "ParseComplete", "BindComplete", "Complete SELECT 1", "Ready I"));
}

}  // namespace
}  // namespace mosaic::proxy
