// What pools do when a node is down, slow, full, elsewhere or not in use.
#include <deque>

#include "routing/sqlstate.h"
#include "tests/pool/connection_pool_fixture.h"

namespace mosaic::pool {
namespace {

class ConnectionPoolNodes : public ConnectionPoolFixture {};

TEST_F(ConnectionPoolNodes, fails_all_who_wait_for_a_node_that_is_down_and_the_next_ones_at_once) {
  postgres_.set_refusing(true);
  ConnectionPool& pool = add_pool(2);
  std::deque<PoolClient> clients(3);
  for (PoolClient& client : clients) ask(pool, client);
  run_until(
      loop_, [&] { return clients[2].error.has_value(); }, "the last to be refused");
  for (const PoolClient& client : clients) EXPECT_EQ(client.error->sqlstate, routing::sqlstate::kNodeDown);
  EXPECT_EQ(health_->state(), NodeHealth::State::kDown);
  EXPECT_EQ(changes_.size(), 1u) << "one change for one outage";
  PoolClient late;
  ask(pool, late);
  ASSERT_TRUE(late.error) << "within server_login_retry nobody tries again";
  EXPECT_EQ(budget_->used(), 0u);
}

TEST_F(ConnectionPoolNodes, tries_a_node_again_after_server_login_retry) {
  settings_.server_login_retry_ms = 0;
  postgres_.set_refusing(true);
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  run_until(
      loop_, [&] { return first.error.has_value(); }, "a refusal");
  postgres_.set_refusing(false);
  ask(pool, second);
  wait_for(second);
  EXPECT_TRUE(health_->is_up());
}

TEST_F(ConnectionPoolNodes, a_user_who_is_refused_says_nothing_of_the_node) {
  postgres_.set_login_error("28P01", "password authentication failed for user \"app\"");
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  run_until(
      loop_, [&] { return first.error.has_value(); }, "a refusal");
  EXPECT_EQ(first.error->sqlstate, routing::sqlstate::kLoginRefused);
  EXPECT_NE(first.error->detail.find("password authentication failed"), std::string::npos);
  EXPECT_TRUE(health_->is_up());
  ASSERT_EQ(health_->status().refusals.size(), 1u);
  ask(pool, second);
  EXPECT_TRUE(second.error) << "within server_login_retry nobody tries again";
  // A new password is tried at once.
  postgres_.set_login_error("", "");
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "photos"}, "right");
  PoolClient third;
  ask(pool, third);
  wait_for(third);
  EXPECT_TRUE(health_->status().refusals.empty());
}

TEST_F(ConnectionPoolNodes, clients_of_a_full_node_wait_until_there_is_room) {
  postgres_.set_login_error("53300", "sorry, too many clients already");
  ConnectionPool& pool = add_pool(2);
  PoolClient client;
  ask(pool, client);
  run_until(
      loop_, [&] { return !rooms_asked_.empty(); }, "room to be asked for");
  EXPECT_EQ(rooms_asked_.front(), RoomRequest::Of::kNode);
  EXPECT_FALSE(client.error);
  EXPECT_TRUE(health_->is_up());
  postgres_.set_login_error("", "");
  run_until(
      loop_,
      [&] {
        pool.on_tick(loop_.now_ms(), true);
        return client.server != nullptr;
      },
      "a lease");
}

TEST_F(ConnectionPoolNodes, asks_for_room_when_the_node_s_limit_is_reached) {
  auto node = std::make_shared<ConnectionQuota>();
  node->set_limit(1);
  budget_ = std::make_shared<ConnectionBudget>(2, node);
  ConnectionPool& pool = add_pool(2);
  EXPECT_TRUE(node->try_take());  // another user's
  makes_room = [&] { node->put_back(); };
  PoolClient client, others[5];
  ask(pool, client);
  node->set_limit(0);
  EXPECT_TRUE(node->try_take());
  node->set_limit(1);
  for (PoolClient& other : others) ask(pool, other);
  EXPECT_EQ(rooms_asked_.size(), 1u) << "not one place for each who comes to wait";
  node->put_back();
  pool.on_tick(loop_.now_ms(), true);
  wait_for(client);
}

TEST_F(ConnectionPoolNodes, refuses_or_waits_while_the_node_is_slow) {
  ConnectionPool& pool = add_pool(2);
  idle_one(pool);
  PoolClient busy, waiting;
  ask(pool, busy);
  ASSERT_NE(busy.server, nullptr);
  budget_->set_limit(1);
  ask(pool, waiting);
  health_->on_probe_silent({routing::sqlstate::kNodeDown, "no answer", "", ""}, 1'000'000'000'000,
                           1'000'000'000'000);
  ASSERT_EQ(health_->state(), NodeHealth::State::kSlow);
  pool.on_node_change();
  EXPECT_FALSE(waiting.error) << "when_stalled = wait";
  health_->set_refuses_when_slow(true);
  pool.on_node_change();
  ASSERT_TRUE(waiting.error);
  EXPECT_EQ(waiting.error->message, "no answer");
  pool.give_back(*busy.server);
  PoolClient next;
  ask(pool, next);
  EXPECT_TRUE(next.error) << "also while a connection is idle: it would hang as well";
  health_->on_heard(1'000'000'000'001);
  PoolClient last;
  ask(pool, last);
  EXPECT_NE(last.server, nullptr);
}

TEST_F(ConnectionPoolNodes, lets_go_of_those_who_can_use_any_node_when_theirs_stalls) {
  struct Mobile final : Waiter {
    void on_lease(ServerConnection&) override { FAIL(); }
    void on_lease_failed(const routing::Error&) override { has_failed = true; }
    bool can_use_any_node() const override { return true; }
    bool has_failed = false;
  } mobile;
  ConnectionPool& pool = add_pool(1);
  PoolClient busy, bound;
  ask(pool, busy);
  wait_for(busy);
  ask(pool, bound);
  pool.acquire(mobile, std::nullopt);
  health_->on_probe_silent({routing::sqlstate::kNodeDown, "no answer", "", ""}, 1'000'000'000'000,
                           1'000'000'000'000);
  pool.on_node_change();
  EXPECT_TRUE(mobile.has_failed);
  EXPECT_FALSE(bound.error);
  pool.give_back(*busy.server);
  EXPECT_EQ(bound.server, busy.server);
}

TEST_F(ConnectionPoolNodes, keeps_its_connections_when_a_reload_changes_neither_address_nor_password) {
  ConnectionPool& pool = add_pool(2);
  PoolClient busy;
  ask(pool, busy);
  wait_for(busy);
  const ServerConnection* idle = idle_one(pool).server;
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "photos"}, "");
  EXPECT_EQ(pool.servers().size(), 2u);
  PoolClient next;
  ask(pool, next);
  ASSERT_EQ(next.server, idle);
  pool.give_back(*next.server);
  pool.give_back(*busy.server);
  EXPECT_EQ(pool.servers().size(), 2u);
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(ConnectionPoolNodes, replaces_its_connections_when_a_reload_changes_address_or_password) {
  ConnectionPool& pool = add_pool(2);
  PoolClient busy;
  ask(pool, busy);
  wait_for(busy);
  idle_one(pool);
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "photos"}, "another");
  EXPECT_EQ(pool.servers().size(), 1u);  // the idle one goes at once, the leased one when it comes back
  pool.give_back(*busy.server);
  EXPECT_TRUE(pool.servers().empty());
  idle_one(pool);
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "elsewhere"}, "another");
  EXPECT_TRUE(pool.servers().empty());
}

TEST_F(ConnectionPoolNodes, who_waits_for_a_frozen_node_is_served_at_its_new_address) {
  TinyPostgres standby;
  ConnectionPool& pool = add_pool(1);
  postgres_.set_frozen(true);
  PoolClient client;
  ask(pool, client);
  EXPECT_EQ(pool.servers().size(), 1u);
  pool.set_address({"pg1", "127.0.0.1", standby.port(), "photos"}, "");
  wait_for(client);
  EXPECT_EQ(standby.logins(), 1);
  EXPECT_EQ(budget_->used(), 1u);
}

TEST_F(ConnectionPoolNodes, a_connection_that_waits_for_its_cancel_goes_when_the_address_has_changed) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  wait_for(first);
  pool.cancel(*first.server);
  pool.give_back(*first.server);
  ask(pool, second);
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "elsewhere"}, "");
  wait_for(second);
  EXPECT_EQ(postgres_.logins(), 2);
  EXPECT_EQ(budget_->used(), 1u);
}

TEST_F(ConnectionPoolNodes, takes_no_connection_to_an_old_address_from_another_worker) {
  ConnectionPool& mine = add_pool(1);
  ConnectionPool& other = add_pool(1);
  idle_one(mine);
  other.set_address({"pg1", "127.0.0.1", postgres_.port(), "elsewhere"}, "");
  PoolClient client;
  ask(other, client);
  wait_for(client);
  EXPECT_EQ(postgres_.logins(), 2) << "a new one";
  EXPECT_TRUE(mine.servers().empty());
  EXPECT_EQ(budget_->used(), 1u);
}

TEST_F(ConnectionPoolNodes, keeps_no_connection_to_a_node_that_is_not_in_use) {
  settings_.min_pool_size = 1;
  ConnectionPool& pool = add_pool(2);
  idle_one(pool);
  pool.set_in_use(false);
  pool.on_tick(loop_.now_ms(), true);
  EXPECT_TRUE(pool.servers().empty());
  PoolClient client;  // of a transaction that began before
  ask(pool, client);
  wait_for(client);
  pool.give_back(*client.server);
  pool.on_tick(loop_.now_ms(), true);
  EXPECT_TRUE(pool.servers().empty());
  pool.set_in_use(true);
  pool.on_tick(loop_.now_ms(), true);
  EXPECT_EQ(pool.servers().size(), 1u);
}

TEST_F(ConnectionPoolNodes, closes_a_connection_whose_node_is_frozen_without_waiting_for_it) {
  ConnectionPool& pool = add_pool(3);
  PoolClient frozen, alone, polite;
  ask(pool, frozen);
  ask(pool, alone);
  ask(pool, polite);
  wait_for(frozen);
  wait_for(alone);
  wait_for(polite);
  pool.discard(*polite.server);
  run_until(
      loop_, [&] { return postgres_.goodbyes() == 1; }, "the goodbye of a connection at rest");
  postgres_.set_frozen(true);
  const std::string block(1 << 20, 'x');
  for (PoolClient* client : {&frozen, &alone}) {
    ByteStream& stream = client->server->stream();
    for (int i = 0; i < 64 && stream.pending_bytes() == 0; ++i) EXPECT_TRUE(stream.write(block));
    ASSERT_GT(stream.pending_bytes(), 0u) << "the socket's buffer is not full";
    // To its last byte: a goodbye would have to wait.
    while (::send(stream.fd(), "x", 1, MSG_NOSIGNAL) == 1) continue;
  }
  pool.discard(*frozen.server);
  run_until(
      loop_, [&] { return pool.servers().size() == 1 && budget_->used() == 1; }, "the place to be free");
  bool has_gone_on = false;
  loop_.defer([&] { has_gone_on = true; });
  run_until(
      loop_, [&] { return has_gone_on; }, "the loop to go on");
  pools_.clear();  // the other one goes with its pool
}

}  // namespace
}  // namespace mosaic::pool
