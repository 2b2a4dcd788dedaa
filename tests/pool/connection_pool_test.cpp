// Who gets a connection, when, and how many there are.
#include <algorithm>
#include <deque>

#include "routing/sqlstate.h"
#include "tests/pool/connection_pool_fixture.h"

namespace mosaic::pool {
namespace {

class ConnectionPoolTest : public ConnectionPoolFixture {};

TEST_F(ConnectionPoolTest, opens_connections_for_those_who_wait_up_to_the_limit) {
  ConnectionPool& pool = add_pool(2);
  std::deque<PoolClient> clients(5);
  for (PoolClient& client : clients) ask(pool, client);
  EXPECT_EQ(pool.waiting(), 5u);
  wait_for(clients[0]);
  wait_for(clients[1]);
  EXPECT_EQ(pool.waiting(), 3u);
  EXPECT_EQ(budget_->used(), 2u);
  EXPECT_EQ(pool.servers().size(), 2u);
  for (size_t next = 2; next < clients.size(); ++next) {
    pool.give_back(*clients[next - 2].server);
    EXPECT_EQ(clients[next].server, clients[next - 2].server);
  }
  pool.give_back(*clients[3].server);
  pool.give_back(*clients[4].server);
  EXPECT_EQ(postgres_.most_sessions(), 2);
}

TEST_F(ConnectionPoolTest, serves_in_the_order_of_asking_and_forgets_who_stops) {
  ConnectionPool& pool = add_pool(1);
  std::vector<PoolClient*> order;
  std::deque<PoolClient> clients(6);
  for (PoolClient& client : clients) {
    client.order = &order;
    ask(pool, client);
  }
  pool.stop_waiting(clients[0]);  // the first, one in the middle, the last
  pool.stop_waiting(clients[2]);
  pool.stop_waiting(clients[5]);
  wait_for(clients[1]);
  pool.give_back(*clients[1].server);
  pool.give_back(*clients[3].server);
  pool.give_back(*clients[4].server);
  EXPECT_EQ(order, (std::vector<PoolClient*>{&clients[1], &clients[3], &clients[4]}));
  EXPECT_EQ(pool.waiting(), 0u);
  EXPECT_EQ(clients[0].waiting_in(), nullptr);
}

TEST_F(ConnectionPoolTest, gives_an_idle_connection_at_once_rather_one_that_has_the_statement) {
  ConnectionPool& pool = add_pool(2);
  PoolClient first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  const StatementKey key{7, 3};
  first.server->memory().statements.insert(key);
  pool.give_back(*first.server);
  pool.give_back(*second.server);
  PoolClient client;
  EXPECT_EQ(pool.acquire(client, key).server, first.server);
  EXPECT_EQ(pool.acquire(client, std::nullopt).server, second.server);  // otherwise the one used last
  pool.discard(*first.server);
  pool.discard(*second.server);
}

TEST_F(ConnectionPoolTest, leases_an_idle_connection_to_whom_it_suits) {
  ConnectionPool& pool = add_pool(2);
  PoolClient first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  const StatementKey key{7, 3};
  first.server->memory().statements.insert(key);
  const auto misses_it = [&](const ServerConnection& server) {
    return !server.memory().statements.contains(key);
  };
  EXPECT_EQ(pool.acquire_idle(misses_it), nullptr);  // none is idle
  pool.give_back(*second.server);
  pool.give_back(*first.server);
  EXPECT_EQ(pool.acquire_idle(misses_it), second.server);
  EXPECT_EQ(pool.acquire_idle(misses_it), nullptr);
  EXPECT_EQ(second.server->state(), ServerConnection::State::kActive);
  pool.give_back(*second.server);
}

TEST_F(ConnectionPoolTest, opens_connections_ahead_up_to_its_limit) {
  ConnectionPool& pool = add_pool(3);
  const auto idle = [&] {
    return std::count_if(pool.servers().begin(), pool.servers().end(), [](const auto& server) {
      return server->state() == ServerConnection::State::kIdle;
    });
  };
  pool.open_ahead(2);
  run_until(
      loop_, [&] { return idle() == 2; }, "two idle connections");
  pool.open_ahead(2);
  EXPECT_EQ(pool.servers().size(), 2u);
  pool.open_ahead(5);
  EXPECT_EQ(pool.servers().size(), 3u);
  run_until(
      loop_, [&] { return idle() == 3; }, "all idle");
}

// Gives its lease back from inside on_lease(), as a client does whose login needed the server only to look.
struct BriefClient final : Waiter {
  void on_lease(ServerConnection& server) override {
    ++leases;
    if (asks_again) {
      asks_again = false;
      EXPECT_EQ(pool->acquire(*this, std::nullopt).server, nullptr);
    }
    breaks ? pool->discard(server) : pool->give_back(server);
  }
  void on_lease_failed(const routing::Error&) override { FAIL(); }
  ConnectionPool* pool = nullptr;
  int leases = 0;
  bool asks_again = false, breaks = false;
};

TEST_F(ConnectionPoolTest, serves_a_long_queue_of_brief_clients_without_a_deep_stack) {
  settings_.max_waiting_clients = 100'000;
  ConnectionPool& pool = add_pool(2);
  std::deque<BriefClient> clients(20'000);
  for (BriefClient& client : clients) {
    client.pool = &pool;
    client.asks_again = &client == &clients[7];
    client.breaks = &client == &clients[9'999];
    EXPECT_EQ(pool.acquire(client, std::nullopt).server, nullptr);
  }
  run_until(
      loop_, [&] { return pool.waiting() == 0 && pool.servers().size() <= 2; }, "all to be served");
  for (const BriefClient& client : clients) EXPECT_EQ(client.leases, &client == &clients[7] ? 2 : 1);
  for (const auto& server : pool.servers())
    EXPECT_NE(server->state(), ServerConnection::State::kActive) << "a lease that nobody holds";
}

TEST_F(ConnectionPoolTest, replaces_a_discarded_connection_for_the_next_in_the_queue) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  wait_for(first);
  ask(pool, second);
  const uint64_t id = first.server->id();
  pool.discard(*first.server);
  wait_for(second);
  EXPECT_NE(second.server->id(), id);
  EXPECT_EQ(postgres_.logins(), 2);
  EXPECT_EQ(budget_->used(), 1u);
}

TEST_F(ConnectionPoolTest, forgets_an_idle_connection_that_its_server_closes) {
  ConnectionPool& pool = add_pool(1);
  idle_one(pool);
  EXPECT_EQ(pool.servers().size(), 1u);
  postgres_.drop_sessions();
  run_until(
      loop_, [&] { return pool.servers().empty() && budget_->used() == 0; }, "the place to be free");
  PoolClient client;
  ask(pool, client);
  wait_for(client);
}

TEST_F(ConnectionPoolTest, refuses_more_waiting_clients_than_the_limit) {
  settings_.max_waiting_clients = 2;
  ConnectionPool& pool = add_pool(1);
  std::deque<PoolClient> clients(3);
  for (PoolClient& client : clients) ask(pool, client);
  ASSERT_TRUE(clients[2].error);
  EXPECT_EQ(clients[2].error->sqlstate, routing::sqlstate::kTooManyConnections);
  EXPECT_EQ(clients[2].waiting_in(), nullptr);
  EXPECT_EQ(pool.waiting(), 2u);
  pool.stop_waiting(clients[0]);
  pool.stop_waiting(clients[1]);
}

TEST_F(ConnectionPoolTest, keeps_min_pool_size_while_the_user_has_clients) {
  settings_.min_pool_size = 2;
  ConnectionPool& pool = add_pool(5);
  pool.on_tick(loop_.now_ms(), false);
  EXPECT_EQ(budget_->used(), 0u);
  const auto is_filled = [&] {
    pool.on_tick(loop_.now_ms(), true);
    return pool.servers().size() == 2 && pool.servers()[1]->state() == ServerConnection::State::kIdle;
  };
  run_until(loop_, is_filled, "two connections");
  const uint64_t late_ms = loop_.now_ms() + settings_.server_idle_timeout_ms + 1'000;
  pool.on_tick(late_ms, true);
  EXPECT_EQ(pool.servers().size(), 2u);
  pool.on_tick(late_ms, false);
  EXPECT_TRUE(pool.servers().empty());
}

TEST_F(ConnectionPoolTest, opens_reserve_connections_for_those_who_have_waited_and_closes_them_when_idle) {
  settings_.reserve_pool_timeout_ms = 0;
  ConnectionPool& pool = add_pool(1);
  budget_->set_reserve(1);
  PoolClient first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  PoolClient third;
  ask(pool, third);
  EXPECT_EQ(third.server, nullptr);
  pool.give_back(*second.server);
  EXPECT_EQ(third.server, second.server) << "as long as somebody waits it stays";
  pool.give_back(*third.server);
  pool.on_tick(loop_.now_ms(), true);
  run_until(
      loop_, [&] { return budget_->used() == 1; }, "the reserve to be given back");
}

TEST_F(ConnectionPoolTest, ends_a_wait_at_query_wait_timeout) {
  ConnectionPool& pool = add_pool(1);
  PoolClient first, second;
  ask(pool, first);
  wait_for(first);
  ask(pool, second);
  pool.on_tick(second.waiting_since_ms() + settings_.query_wait_timeout_ms, true);
  EXPECT_FALSE(second.error);
  pool.on_tick(second.waiting_since_ms() + settings_.query_wait_timeout_ms + 1, true);
  ASSERT_TRUE(second.error);
  EXPECT_EQ(second.error->sqlstate, routing::sqlstate::kWaitTimeout);
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST_F(ConnectionPoolTest, closes_idle_connections_at_their_timeout) {
  ConnectionPool& pool = add_pool(1);
  const ServerConnection& server = *idle_one(pool).server;
  pool.on_tick(server.state_since_ms() + settings_.server_idle_timeout_ms, true);
  EXPECT_EQ(pool.servers().size(), 1u);
  pool.on_tick(server.state_since_ms() + settings_.server_idle_timeout_ms + 1, true);
  run_until(
      loop_, [&] { return pool.servers().empty() && postgres_.sessions() == 0; }, "the end");
}

TEST_F(ConnectionPoolTest, closes_returned_connections_beyond_a_lowered_limit) {
  ConnectionPool& pool = add_pool(2);
  PoolClient first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  budget_->set_limit(1);
  pool.give_back(*first.server);
  run_until(
      loop_, [&] { return budget_->used() == 1; }, "the first to be closed");
  pool.give_back(*second.server);
  EXPECT_EQ(pool.servers().size(), 1u);
}

TEST_F(ConnectionPoolTest, hands_an_idle_connection_to_a_worker_whose_clients_starve) {
  ConnectionPool& mine = add_pool(1);
  ConnectionPool& other = add_pool(1);
  const uint64_t id = idle_one(mine).server->id();
  PoolClient client;
  ask(other, client);
  wait_for(client);
  EXPECT_EQ(client.server->id(), id) << "the same connection, not a new one";
  EXPECT_TRUE(mine.servers().empty());
  EXPECT_EQ(postgres_.logins(), 1);
  EXPECT_EQ(budget_->used(), 1u);
}

TEST_F(ConnectionPoolTest, gives_a_returned_connection_to_whoever_has_waited_longest_in_any_worker) {
  ConnectionPool& mine = add_pool(1);
  ConnectionPool& other = add_pool(1);
  PoolClient holder, early, late;
  ask(mine, holder);
  wait_for(holder);
  ask(other, early);
  const uint64_t asked_ms = loop_.now_ms();
  run_until(
      loop_, [&] { return loop_.now_ms() > asked_ms + 30; }, "the clock to move on");
  ask(mine, late);
  mine.give_back(*holder.server);
  wait_for(early);
  EXPECT_EQ(late.server, nullptr);
  other.give_back(*early.server);
  wait_for(late);
  EXPECT_EQ(postgres_.logins(), 1);
}

TEST_F(ConnectionPoolTest, frees_its_places_when_it_goes) {
  ConnectionPool& pool = add_pool(3);
  idle_one(pool);
  EXPECT_EQ(budget_->used(), 1u);
  pools_.clear();
  EXPECT_EQ(budget_->used(), 0u);
}

}  // namespace
}  // namespace mosaic::pool
