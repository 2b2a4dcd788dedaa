// A shard moves while a client talks to it: what its old node refuses goes to the new one, unseen.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using Intake = Session::Intake;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class SessionMoved : public testing::Test {
 protected:
  SessionMoved() {
    user = s.user_on("pg1");
    insert = "INSERT INTO media (user_id) VALUES (" + std::to_string(user) + ")";
    const std::string schema = s.schema_of_user(user);
    shard.value = static_cast<uint32_t>(std::stoul(schema.substr(schema.size() - 4)));
  }

  // The map says that the shard is on the other node.
  void move_shard() {
    s.environment.catalog = s.environment.catalog->with_places({{shard, {{1}, {7}, false}}});
  }
  void refuse(const char* sqlstate, char status) {
    s.server_error(sqlstate, "shard is moving");
    if (status != 0) s.server_ready(status);
  }
  // Once the map is newer the client goes on, on the other node.
  void go_on() {
    ASSERT_TRUE(s.wants_lease());
    EXPECT_EQ(s.outbox.lease_request->shard, shard);
    EXPECT_EQ(s.outbox.lease_request->refused_at, s.environment.catalog->place_of(shard).epoch);
    move_shard();
    s.open_gate();
    s.memory.statements.clear();  // another server
    s.memory.unnamed.reset();
    EXPECT_EQ(s.wanted_node(), "pg2");
    EXPECT_EQ(s.outbox.lease_request->refused_at.value, 0u);
    s.grant();
  }
  void send(const std::string& text) {
    s.send(text);
    s.to_server(), s.to_client();
  }

  SessionScript s;
  int64_t user = 0;
  routing::ShardId shard;
  std::string insert;
};

TEST_F(SessionMoved, sends_a_query_again_where_its_shard_is_now) {
  for (const char* sqlstate : {"MZ001", "42501"}) {
    SCOPED_TRACE(sqlstate);
    s.environment.catalog = script_catalog();
    send(insert);
    refuse(sqlstate, 'I');
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
    EXPECT_THAT(s.to_client(), IsEmpty());
    go_on();
    EXPECT_THAT(s.answer({"INSERT 0 1"}, 'I'), ElementsAre(HasSubstr("INSERT INTO shard_")));
    EXPECT_THAT(s.to_client(), ElementsAre("Complete INSERT 0 1", "Ready I"));
    s.lease_end();
  }
  EXPECT_EQ(s.environment.moving[shard.value].replayed, 2u);
}

// The node is killed between its refusal and its ReadyForQuery: nothing was done there.
TEST_F(SessionMoved, sends_again_what_a_node_has_refused_that_is_lost_then) {
  const auto lose = [this] {
    s.lose_server();
    EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
    EXPECT_THAT(s.to_client(), IsEmpty());
  };
  send(insert);
  refuse("MZ001", 0);
  lose();
  go_on();
  EXPECT_THAT(s.answer({"INSERT 0 1"}, 'I'), ElementsAre(HasSubstr("INSERT INTO shard_")));
  EXPECT_THAT(s.to_client(), ElementsAre("Complete INSERT 0 1", "Ready I"));
  s.lease_end();

  for (const bool is_taking_back : {false, true}) {
    SCOPED_TRACE(is_taking_back);
    s.environment.catalog = script_catalog();
    s.query("BEGIN"), s.to_client();
    send(insert);
    s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
    refuse("MZ001", is_taking_back ? 'E' : 0);
    lose();
    go_on();
    EXPECT_THAT(s.to_server(), Contains("Parse [] BEGIN"));
    s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN"), s.server_complete("INSERT 0 1");
    s.server_ready('T');
    EXPECT_THAT(s.to_client(), ElementsAre("Complete INSERT 0 1", "Ready T"));
    s.query("COMMIT"), s.answer({"COMMIT"}, 'I'), s.to_client();
    s.lease_end();
  }
}

// Its mover is silent: where the shard is open nobody knows, and whoever is refused asks until it is told.
TEST_F(SessionMoved, asks_on_while_it_is_not_known_what_came_of_a_hold) {
  const std::string denied = "permission denied for schema " + s.schema_of_user(user);
  const routing::ShardPlace here = s.environment.catalog->place_of(shard);
  s.environment.catalog = s.environment.catalog->with_places({{shard, {here.node, {5}, false, true}}});
  send(insert);
  for (int i = 0; i < 50; ++i) {
    s.server_error("42501", denied), s.server_ready('I');
    ASSERT_TRUE(s.wants_lease()) << i;
    EXPECT_EQ(s.outbox.lease_request->refusals, static_cast<uint32_t>(i + 1));
    s.open_gate();
    s.grant(), s.to_server();
  }
  EXPECT_THAT(s.to_client(), IsEmpty());
  s.environment.catalog = s.environment.catalog->with_places({{shard, {here.node, {6}, false, false}}});
  s.server_error("42501", denied), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42501"), "Ready I"));
}

// What one statement has waited is not held against the next.
TEST_F(SessionMoved, begins_anew_behind_a_wait_that_was_in_vain) {
  send(insert);
  for (int i = 0; i < 3; ++i) {
    refuse("MZ001", 'I');
    EXPECT_EQ(s.outbox.lease_request->refusals, static_cast<uint32_t>(i + 1));
    s.open_gate(), s.grant(), s.to_server();
  }
  refuse("MZ001", 'I');
  s.outbox.lease_request.reset();
  s.fail_lease("MZ021");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ021"), "Ready I"));
  send(insert);
  refuse("MZ001", 'I');
  EXPECT_EQ(s.outbox.lease_request->refusals, 1u);
}

TEST_F(SessionMoved, says_a_transaction_again_that_had_only_begun) {
  s.query("BEGIN ISOLATION LEVEL REPEATABLE READ"), s.query("SAVEPOINT a");
  send(insert);
  for (const char* tag : {"BEGIN", "SAVEPOINT"}) s.server('1', {}), s.server('2', {}), s.server_complete(tag);
  refuse("MZ001", 'E');
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
  s.server_complete("ROLLBACK"), s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  go_on();
  EXPECT_THAT(s.to_server(),
              testing::AllOf(Contains(HasSubstr("REPEATABLE READ")), Contains(HasSubstr("SAVEPOINT a")),
                             Contains(HasSubstr("INSERT INTO shard_"))));
}

TEST_F(SessionMoved, tells_a_transaction_that_has_done_something) {
  s.query("BEGIN");
  s.send(insert);
  s.answer({"BEGIN", "INSERT 0 1"}, 'T');
  s.to_client();
  s.query(insert);
  refuse("MZ001", 'E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 40001"), "Ready E"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
}

TEST_F(SessionMoved, sends_a_pipeline_again_whose_first_statement_was_refused) {
  s.parse("q", "INSERT INTO media (user_id) VALUES ($1)");
  s.bind("", "q", {std::to_string(user)});
  s.grant();
  s.bind("", "q", {std::to_string(user)});
  s.describe('P', ""), s.execute(), s.sync();
  s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('n', {});
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete")) << "the rest only says that it was taken";
  refuse("MZ001", 'I');
  go_on();
  EXPECT_THAT(s.answer({"INSERT 0 1"}, 'I'),
              ElementsAre(StartsWith("Parse [mosaic_"), StartsWith("Bind [mosaic_"), "Describe P []",
                          "Execute []", "Sync"));
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "NoData", "Complete INSERT 0 1", "Ready I"));
}

TEST_F(SessionMoved, keeps_a_name_whose_parse_was_refused) {
  s.parse("q", "INSERT INTO media (user_id) VALUES ($1)");
  s.bind("", "q", {std::to_string(user)});
  s.grant();
  s.bind("", "q", {std::to_string(user)});
  s.execute(), s.sync();
  s.to_server();
  refuse("42501", 'I');  // a schema without USAGE is refused to Parse
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete"));
  go_on();
  s.answer({"INSERT 0 1"}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("BindComplete", "Complete INSERT 0 1", "Ready I"));
}

TEST_F(SessionMoved, tells_of_a_privilege_that_is_missing_on_both_nodes) {
  send(insert);
  refuse("42501", 'I');
  go_on();
  refuse("42501", 'I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42501"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  // The next statement is asked again as well.
  send(insert);
  refuse("42501", 'I');
  EXPECT_THAT(s.to_client(), IsEmpty());
}

TEST_F(SessionMoved, does_not_repeat_what_has_answered) {
  send("SELECT * FROM media WHERE user_id = " + std::to_string(user) + "; " + insert);
  s.server('T', std::string(2, '\0')), s.server_row("1"), s.server_complete("SELECT 1");
  refuse("MZ001", 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("RowDescription", "Row", "Complete SELECT 1",
                                         StartsWith("Error 40001"), "Ready I"));
}

TEST_F(SessionMoved, asks_for_a_read_only_when_it_may_pass) {
  const std::string select = "SELECT * FROM media WHERE user_id = " + std::to_string(user);
  s.query(select);
  EXPECT_TRUE(s.outbox.lease_request->is_read);
  s.grant(), s.query(select);
  s.answer({"SELECT 0"}, 'I');
  s.query("BEGIN");
  s.query(select);
  EXPECT_FALSE(s.outbox.lease_request->is_read) << "a write may follow";
}

}  // namespace
}  // namespace mosaic::proxy
