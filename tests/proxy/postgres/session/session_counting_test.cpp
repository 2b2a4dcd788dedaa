// What statements are counted by: calls, errors, rows and time, per shape, node and shard, however they come.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using Intake = Session::Intake;

uint64_t now_us = 0;

class SessionCounting : public ::testing::Test {
 protected:
  SessionCounting() {
    now_us = 1'000'000;
    s.environment.clock = TurnClock([] { return now_us; });
    s.environment.shard_us.resize(s.environment.catalog->shard_count());
  }

  void pass(uint64_t us) {
    now_us += us;
    s.environment.clock.end_turn();
  }
  routing::ShapeCounts counts(const std::string& text) const {
    for (const auto& shape : s.router.shapes(100)) {
      if (shape.text == text) return shape.counts;
    }
    return {};
  }
  uint64_t shard_time() const {
    uint64_t sum = 0;
    for (const uint64_t us : s.environment.shard_us) sum += us;
    return sum;
  }

  SessionScript s;
};

constexpr const char* kShape = "SELECT caption FROM media WHERE user_id = ?";

TEST_F(SessionCounting, a_simple_query) {
  const int64_t user = s.user_on("pg2");
  s.send(fmt::format("SELECT caption FROM media WHERE user_id = {}", user));
  pass(700);
  s.answer({"SELECT 3"}, 'I');
  const routing::ShapeCounts counted = counts(kShape);
  EXPECT_EQ(counted.calls, 1u);
  EXPECT_EQ(counted.errors, 0u);
  EXPECT_EQ(counted.rows, 3u);
  EXPECT_EQ(counted.time_us, 700u);
  EXPECT_EQ(s.environment.traffic[1].query_us, 700u);
  EXPECT_EQ(s.environment.traffic[0].query_us, 0u);
  EXPECT_EQ(shard_time(), 700u);
}

TEST_F(SessionCounting, executions_of_a_prepared_statement_are_of_the_same_shape) {
  const int64_t user = s.user_on("pg2");
  s.send(fmt::format("SELECT caption FROM media WHERE user_id = {}", user));
  s.answer({"SELECT 1"}, 'I');
  s.lease_end();
  for (int i = 0; i < 5; ++i) {
    s.send_extended("SELECT caption FROM media WHERE user_id = $1", {std::to_string(user)});
    s.sync();
    pass(100);
    s.answer({"SELECT 2"}, 'I');
    s.lease_end();
  }
  const routing::ShapeCounts counted = counts(kShape);
  EXPECT_EQ(counted.calls, 6u);
  EXPECT_EQ(counted.rows, 11u);
  EXPECT_EQ(counted.time_us, 500u);
}

TEST_F(SessionCounting, what_fails_is_an_error_once) {
  const int64_t user = s.user_on("pg2");
  s.send(fmt::format("SELECT caption FROM media WHERE user_id = {}", user));
  s.to_server();
  s.server_error("22012", "division by zero");
  s.server_ready('I');
  s.lease_end();
  EXPECT_EQ(counts(kShape).calls, 1u);
  EXPECT_EQ(counts(kShape).errors, 1u);
  // At its Parse, ahead of what is timed.
  s.send_extended("SELECT caption FROM media WHERE user_id = $1", {std::to_string(user)});
  s.sync();
  s.to_server();
  s.server_error("42P01", "no such table");
  s.server_ready('I');
  EXPECT_EQ(counts(kShape).calls, 2u);
  EXPECT_EQ(counts(kShape).errors, 2u);
}

TEST_F(SessionCounting, what_is_refused_or_answered_here_is_a_call_too) {
  s.query("SELECT caption FROM media");
  EXPECT_EQ(counts("SELECT caption FROM media").calls, 1u);
  EXPECT_EQ(counts("SELECT caption FROM media").errors, 1u);
  s.query("BEGIN");
  EXPECT_EQ(counts("BEGIN").calls, 1u);
  EXPECT_EQ(counts("BEGIN").errors, 0u);
}

TEST_F(SessionCounting, a_lost_server_is_an_error_of_what_ran) {
  s.send(fmt::format("SELECT caption FROM media WHERE user_id = {}", s.user_on("pg2")));
  s.to_server();
  s.session->on_server_lost(routing::Error{"08006", "gone", "", ""}, false);
  EXPECT_EQ(counts(kShape).calls, 1u);
  EXPECT_EQ(counts(kShape).errors, 1u);
}

TEST_F(SessionCounting, statements_of_a_pipeline_begin_when_the_one_before_has_ended) {
  const std::string user = std::to_string(s.user_on("pg2"));
  s.send_extended("SELECT caption FROM media WHERE user_id = $1", {user});
  s.send_extended("SELECT id FROM media WHERE user_id = $1", {user});
  s.sync();
  s.to_server();
  s.server('1', {});
  s.server('2', {});
  pass(1'000);
  s.server_complete("SELECT 1");
  s.server('1', {});
  s.server('2', {});
  pass(50);
  s.server_complete("SELECT 1");
  s.server_ready('I');
  EXPECT_EQ(counts(kShape).time_us, 1'000u);
  EXPECT_EQ(counts("SELECT id FROM media WHERE user_id = ?").time_us, 50u);
  EXPECT_EQ(s.environment.traffic[1].query_us, 1'050u);
}

TEST_F(SessionCounting, a_portal_that_is_suspended_is_one_call) {
  const std::string user = std::to_string(s.user_on("pg2"));
  s.send_extended("SELECT caption FROM media WHERE user_id = $1", {user}, 1);
  s.to_server();
  s.server('1', {});
  s.server('2', {});
  pass(10);
  s.server('s', {});
  s.execute();
  s.sync();
  s.to_server();
  pass(10);
  s.server_complete("SELECT 4");
  s.server_ready('I');
  EXPECT_EQ(counts(kShape).calls, 1u);
  EXPECT_EQ(counts(kShape).time_us, 20u);
}

TEST_F(SessionCounting, slow_statements_are_told_with_their_wait) {
  s.environment.slow_statement_us = 1'000;
  const std::string text = fmt::format("SELECT caption FROM media WHERE user_id = {}", s.user_on("pg2"));
  EXPECT_EQ(s.query(text), Intake::kLater);
  pass(600);
  EXPECT_TRUE(s.session->running().waiting_us != 0);
  s.grant();
  s.query(text);
  pass(600);
  s.session->on_held_back(200);
  s.answer({"SELECT 1"}, 'I');
  ASSERT_EQ(s.outbox.slow_statements.size(), 1u);
  const SlowStatement& slow = s.outbox.slow_statements[0];
  EXPECT_EQ(slow.waited_us, 600u);
  EXPECT_EQ(slow.server_us, 400u);
  EXPECT_EQ(slow.client_us, 200u);
  EXPECT_EQ(slow.use->text(), kShape);
  s.outbox.slow_statements.clear();
  s.lease_end();
  s.send(text);
  pass(999);
  s.answer({"SELECT 1"}, 'I');
  EXPECT_TRUE(s.outbox.slow_statements.empty()) << "the wait before was another statement's";
}

TEST_F(SessionCounting, tells_what_runs_and_since_when) {
  EXPECT_EQ(s.session->running().began_us, 0u);
  s.query("BEGIN");
  pass(100);
  s.send(fmt::format("SELECT caption FROM media WHERE user_id = {}", s.user_on("pg2")));
  pass(100);
  Session::Running running = s.session->running();
  ASSERT_NE(running.shape, nullptr);
  EXPECT_EQ(running.shape->text(), kShape);
  EXPECT_EQ(running.began_us, 1'000'100u);
  EXPECT_EQ(running.transaction_began_us, 1'000'000u);
  s.answer({"BEGIN", "SELECT 1"}, 'T');
  running = s.session->running();
  EXPECT_EQ(running.began_us, 0u);
  EXPECT_EQ(running.shape->text(), kShape);
  EXPECT_EQ(running.transaction_began_us, 1'000'000u);
}

TEST_F(SessionCounting, tells_the_shard_of_what_waits_not_that_of_the_statement_before) {
  const auto text = [&](std::string_view node) {
    return fmt::format("SELECT caption FROM media WHERE user_id = {}", s.user_on(node));
  };
  const auto node_of_shard = [&] {
    const int shard = s.session->running().shard;
    return shard < 0 ? "none"
                     : s.environment.catalog->node_name(
                           s.environment.catalog->node_of(routing::ShardId{static_cast<uint32_t>(shard)}));
  };
  s.send(text("pg2"));
  s.answer({"SELECT 1"}, 'I');
  s.lease_end();
  EXPECT_EQ(node_of_shard(), "pg2");
  EXPECT_EQ(s.query(text("pg1")), Intake::kLater);
  EXPECT_EQ(node_of_shard(), "pg1");
  s.grant();
  s.query(text("pg1"));
  s.answer({"SELECT 1"}, 'I');
  s.lease_end();
  EXPECT_EQ(s.query("SELECT 1"), Intake::kLater);
  EXPECT_EQ(node_of_shard(), "none");
}

}  // namespace
}  // namespace mosaic::proxy
