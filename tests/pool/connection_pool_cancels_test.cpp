// Cancel requests on their way, and the connections that they concern.
#include <deque>

#include "tests/pool/connection_pool_fixture.h"

namespace mosaic::pool {
namespace {

class ConnectionPoolCancels : public ConnectionPoolFixture {};

TEST_F(ConnectionPoolCancels, keeps_a_connection_from_others_until_its_cancel_is_done) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  wait_for(first);
  pool.cancel(*first.server);
  pool.give_back(*first.server);
  EXPECT_EQ(first.server->state(), ServerConnection::State::kCanceling);
  ask(pool, second);
  EXPECT_EQ(second.server, nullptr);
  wait_for(second);
  EXPECT_EQ(second.server, first.server);
  EXPECT_EQ(postgres_.cancels(), 1);
}

TEST_F(ConnectionPoolCancels, gives_up_a_cancel_that_the_node_does_not_take_and_nobody_gets_that_connection) {
  postgres_.set_holding_cancels(true);
  ConnectionPool& pool = add_pool(2);
  PoolClient busy, waiting, early;
  ask(pool, busy);
  ask(pool, early);
  wait_for(busy);
  wait_for(early);
  const uint64_t in_doubt = busy.server->id(), also_in_doubt = early.server->id();
  pool.cancel(*busy.server);
  pool.cancel(*early.server);
  run_until(
      loop_, [&] { return postgres_.cancels() == 2; }, "the requests to arrive");
  pool.give_back(*early.server);  // before its cancel is given up
  ask(pool, waiting);
  const uint64_t since_ms = busy.server->cancel_since_ms();
  pool.on_tick(since_ms + settings_.cancel_wait_timeout_ms, true);
  EXPECT_TRUE(busy.server->is_cancel_pending());
  EXPECT_EQ(waiting.server, nullptr);
  EXPECT_EQ(health_->status().cancel_failures, 0u);
  pool.on_tick(since_ms + settings_.cancel_wait_timeout_ms + 1'000, true);
  EXPECT_FALSE(busy.server->is_cancel_pending());
  EXPECT_EQ(busy.server->state(), ServerConnection::State::kActive) << "its client may still get its answer";
  EXPECT_EQ(health_->status().cancels, 2u);
  EXPECT_EQ(health_->status().cancel_failures, 2u);
  wait_for(waiting);
  EXPECT_NE(waiting.server->id(), also_in_doubt);
  pool.give_back(*busy.server);
  PoolClient next;
  ask(pool, next);
  wait_for(next);
  EXPECT_NE(next.server->id(), in_doubt);
}

TEST_F(ConnectionPoolCancels, cancels_go_out_while_others_hang) {
  ConnectionPool& pool = add_pool(12);
  std::deque<PoolClient> clients(12);
  for (PoolClient& client : clients) ask(pool, client);
  for (PoolClient& client : clients) wait_for(client);
  postgres_.set_holding_cancels(true);
  for (int i = 0; i < 10; ++i) pool.cancel(*clients[i].server);
  run_until(
      loop_, [&] { return postgres_.cancels() == 10; }, "ten requests that hang");
  postgres_.set_holding_cancels(false);
  pool.cancel(*clients[10].server);
  EXPECT_TRUE(clients[10].server->is_cancel_pending());
  run_until(
      loop_, [&] { return !clients[10].server->is_cancel_pending(); }, "the eleventh to be done");
  bool is_resolved = false;
  loop_.resolve("localhost", [&](const auto&) { is_resolved = true; });
  run_until(
      loop_, [&] { return is_resolved; }, "a name look-up");
  EXPECT_TRUE(clients[0].server->is_cancel_pending());
  EXPECT_EQ(health_->status().cancel_failures, 0u);
}

TEST_F(ConnectionPoolCancels, asks_again_when_a_second_cancel_comes_before_the_first_is_done) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  wait_for(first);
  for (int i = 0; i < 5; ++i) pool.cancel(*first.server);
  pool.give_back(*first.server);
  ask(pool, second);
  wait_for(second);
  EXPECT_EQ(postgres_.cancels(), 2) << "those that came meanwhile are one";
  EXPECT_EQ(second.server, first.server);
  EXPECT_FALSE(second.server->is_cancel_pending());
}

TEST_F(ConnectionPoolCancels, a_cancel_that_can_not_leave_leaves_the_connection_as_it_is) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first;
  ask(pool, first);
  wait_for(first);
  postgres_.stop_listening();
  run_until(
      loop_,
      [&] {
        if (!first.server->is_cancel_pending()) pool.cancel(*first.server);
        return health_->status().cancel_failures > 0;
      },
      "a request to fail");
  EXPECT_FALSE(first.server->is_cancel_in_doubt());
  pool.discard(*first.server);
}

TEST_F(ConnectionPoolCancels, a_cancel_is_waited_for_as_long_as_it_takes_where_there_is_no_limit) {
  settings_.cancel_wait_timeout_ms = 0;
  postgres_.set_holding_cancels(true);
  ConnectionPool& pool = add_pool(1);
  PoolClient client;
  ask(pool, client);
  wait_for(client);
  pool.cancel(*client.server);
  pool.on_tick(client.server->cancel_since_ms() + 1, true);
  pool.on_tick(client.server->cancel_since_ms() + 1'000'000'000, true);
  EXPECT_TRUE(client.server->is_cancel_pending());
  EXPECT_EQ(health_->status().cancel_failures, 0u);
}

}  // namespace
}  // namespace mosaic::pool
