// ConnectionPool over a real loop and real sockets, against a server that only logs in. Time is passed to
// on_tick, never waited for.

#include "pool/connection_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <deque>

#include "routing/sqlstate.h"
#include "tests/pool/loop_harness.h"
#include "tests/pool/tiny_postgres.h"

namespace mosaic::pool {
namespace {

struct Client final : Waiter {
  void on_lease(ServerConnection& leased) override {
    server = &leased;
    if (order != nullptr) order->push_back(this);
  }
  void on_lease_failed(const routing::Error& failure) override { error = failure; }
  ServerConnection* server = nullptr;
  std::optional<routing::Error> error;
  std::vector<Client*>* order = nullptr;
};

class ConnectionPoolTest : public testing::Test {
 protected:
  ConnectionPoolTest() { settings_.server_login_retry_ms = 60'000; }
  ~ConnectionPoolTest() override {
    pools_.clear();
    mailbox_.close();
  }

  // A pool of another worker, on the same loop; all share one budget of `limit`.
  ConnectionPool& add_pool(uint32_t limit) {
    if (!budget_) budget_ = std::make_shared<ConnectionBudget>(limit);
    ConnectionPool::Environment environment;
    environment.loop = &loop_;
    environment.tables = &tables_;
    environment.worker = static_cast<uint32_t>(pools_.size());
    environment.mailbox = &mailbox_;
    environment.settings = &settings_;
    environment.next_server_id = [this] { return ++last_id_; };
    environment.make_room = [this](const RoomRequest& request) {
      rooms_asked_.push_back(request.of);
      if (makes_room) makes_room();
    };
    NodeAddress address{"pg1", "127.0.0.1", postgres_.port(), "photos"};
    pools_.push_back(std::make_unique<ConnectionPool>(environment, routing::NodeId{0}, address, "app", "",
                                                      budget_, health_));
    return *pools_.back();
  }
  void ask(ConnectionPool& pool, Client& client) {
    const auto grant = pool.acquire(client, std::nullopt);
    client.server = grant.server;
    client.error = grant.error;
  }
  void wait_for(Client& client) {
    run_until(
        loop_, [&] { return client.server != nullptr; }, "a lease");
  }
  ConnectionPool::Grant idle_one(ConnectionPool& pool) {
    Client client;
    ask(pool, client);
    wait_for(client);
    pool.give_back(*client.server);
    return {client.server, std::nullopt};
  }

  TinyPostgres postgres_;
  EventLoop loop_;
  NameValuesTable tables_;
  Mailbox mailbox_{loop_};
  PoolSettings settings_;
  std::shared_ptr<ConnectionBudget> budget_;
  std::vector<NodeHealth::Change> changes_;
  std::shared_ptr<NodeHealth> health_ = std::make_shared<NodeHealth>(
      [this](const NodeHealth::Change& change) { changes_.push_back(change); }, [] { return uint64_t{7}; });
  std::vector<RoomRequest::Of> rooms_asked_;
  std::function<void()> makes_room;
  uint64_t last_id_ = 0;
  std::vector<std::unique_ptr<ConnectionPool>> pools_;
};

TEST_F(ConnectionPoolTest, opens_connections_for_those_who_wait_up_to_the_limit) {
  ConnectionPool& pool = add_pool(2);
  std::deque<Client> clients(5);
  for (Client& client : clients) ask(pool, client);
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
  std::vector<Client*> order;
  std::deque<Client> clients(6);
  for (Client& client : clients) {
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
  EXPECT_EQ(order, (std::vector<Client*>{&clients[1], &clients[3], &clients[4]}));
  EXPECT_EQ(pool.waiting(), 0u);
  EXPECT_EQ(clients[0].waiting_in(), nullptr);
}

TEST_F(ConnectionPoolTest, gives_an_idle_connection_at_once_rather_one_that_has_the_statement) {
  ConnectionPool& pool = add_pool(2);
  Client first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  const StatementKey key{7, 3};
  first.server->memory().statements.insert(key);
  pool.give_back(*first.server);
  pool.give_back(*second.server);
  Client client;
  EXPECT_EQ(pool.acquire(client, key).server, first.server);
  EXPECT_EQ(pool.acquire(client, std::nullopt).server, second.server);  // otherwise the one used last
  pool.discard(*first.server);
  pool.discard(*second.server);
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
  Client first, second;
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
  Client client;
  ask(pool, client);
  wait_for(client);
}

TEST_F(ConnectionPoolTest, refuses_more_waiting_clients_than_the_limit) {
  settings_.max_waiting_clients = 2;
  ConnectionPool& pool = add_pool(1);
  std::deque<Client> clients(3);
  for (Client& client : clients) ask(pool, client);
  ASSERT_TRUE(clients[2].error);
  EXPECT_EQ(clients[2].error->sqlstate, routing::sqlstate::kTooManyConnections);
  EXPECT_EQ(clients[2].waiting_in(), nullptr);
  EXPECT_EQ(pool.waiting(), 2u);
  pool.stop_waiting(clients[0]);
  pool.stop_waiting(clients[1]);
}

TEST_F(ConnectionPoolTest, fails_all_who_wait_for_a_node_that_is_down_and_the_next_ones_at_once) {
  postgres_.set_refusing(true);
  ConnectionPool& pool = add_pool(2);
  std::deque<Client> clients(3);
  for (Client& client : clients) ask(pool, client);
  run_until(
      loop_, [&] { return clients[2].error.has_value(); }, "the last to be refused");
  for (const Client& client : clients) EXPECT_EQ(client.error->sqlstate, routing::sqlstate::kNodeDown);
  EXPECT_EQ(health_->state(), NodeHealth::State::kDown);
  EXPECT_EQ(changes_.size(), 1u) << "one change for one outage";
  Client late;
  ask(pool, late);
  ASSERT_TRUE(late.error) << "within server_login_retry nobody tries again";
  EXPECT_EQ(budget_->used(), 0u);
}

TEST_F(ConnectionPoolTest, tries_a_node_again_after_server_login_retry) {
  settings_.server_login_retry_ms = 0;
  postgres_.set_refusing(true);
  ConnectionPool& pool = add_pool(1);
  Client first, second;
  ask(pool, first);
  run_until(
      loop_, [&] { return first.error.has_value(); }, "a refusal");
  postgres_.set_refusing(false);
  ask(pool, second);
  wait_for(second);
  EXPECT_TRUE(health_->is_up());
}

TEST_F(ConnectionPoolTest, a_user_who_is_refused_says_nothing_of_the_node) {
  postgres_.set_login_error("28P01", "password authentication failed for user \"app\"");
  ConnectionPool& pool = add_pool(1);
  Client first, second;
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
  Client third;
  ask(pool, third);
  wait_for(third);
  EXPECT_TRUE(health_->status().refusals.empty());
}

TEST_F(ConnectionPoolTest, clients_of_a_full_node_wait_until_there_is_room) {
  postgres_.set_login_error("53300", "sorry, too many clients already");
  ConnectionPool& pool = add_pool(2);
  Client client;
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

TEST_F(ConnectionPoolTest, asks_for_room_when_the_node_s_limit_is_reached) {
  auto node = std::make_shared<ConnectionQuota>();
  node->set_limit(1);
  budget_ = std::make_shared<ConnectionBudget>(2, node);
  ConnectionPool& pool = add_pool(2);
  EXPECT_TRUE(node->try_take());  // another user's
  makes_room = [&] { node->put_back(); };
  Client client, others[5];
  ask(pool, client);
  node->set_limit(0);
  EXPECT_TRUE(node->try_take());
  node->set_limit(1);
  for (Client& other : others) ask(pool, other);
  EXPECT_EQ(rooms_asked_.size(), 1u) << "not one place for each who comes to wait";
  node->put_back();
  pool.on_tick(loop_.now_ms(), true);
  wait_for(client);
}

TEST_F(ConnectionPoolTest, refuses_or_waits_while_the_node_is_slow) {
  ConnectionPool& pool = add_pool(2);
  idle_one(pool);
  Client busy, waiting;
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
  Client next;
  ask(pool, next);
  EXPECT_TRUE(next.error) << "also while a connection is idle: it would hang as well";
  health_->on_heard(1'000'000'000'001);
  Client last;
  ask(pool, last);
  EXPECT_NE(last.server, nullptr);
}

TEST_F(ConnectionPoolTest, lets_go_of_those_who_can_use_any_node_when_theirs_stalls) {
  struct Mobile final : Waiter {
    void on_lease(ServerConnection&) override { FAIL(); }
    void on_lease_failed(const routing::Error&) override { has_failed = true; }
    bool can_use_any_node() const override { return true; }
    bool has_failed = false;
  } mobile;
  ConnectionPool& pool = add_pool(1);
  Client busy, bound;
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
  Client first, second;
  ask(pool, first);
  ask(pool, second);
  wait_for(first);
  wait_for(second);
  Client third;
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
  Client first, second;
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
  Client first, second;
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

TEST_F(ConnectionPoolTest, keeps_its_connections_when_a_reload_changes_neither_address_nor_password) {
  ConnectionPool& pool = add_pool(2);
  Client busy;
  ask(pool, busy);
  wait_for(busy);
  const ServerConnection* idle = idle_one(pool).server;
  pool.set_address({"pg1", "127.0.0.1", postgres_.port(), "photos"}, "");
  EXPECT_EQ(pool.servers().size(), 2u);
  Client next;
  ask(pool, next);
  ASSERT_EQ(next.server, idle);
  pool.give_back(*next.server);
  pool.give_back(*busy.server);
  EXPECT_EQ(pool.servers().size(), 2u);
  EXPECT_EQ(postgres_.logins(), 2);
}

TEST_F(ConnectionPoolTest, replaces_its_connections_when_a_reload_changes_address_or_password) {
  ConnectionPool& pool = add_pool(2);
  Client busy;
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

TEST_F(ConnectionPoolTest, keeps_a_connection_from_others_until_its_cancel_is_done) {
  ConnectionPool& pool = add_pool(1);
  Client first, second;
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

TEST_F(ConnectionPoolTest, gives_up_a_cancel_that_the_node_does_not_take_and_nobody_gets_that_connection) {
  postgres_.set_holding_cancels(true);
  ConnectionPool& pool = add_pool(2);
  Client busy, waiting, early;
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
  Client next;
  ask(pool, next);
  wait_for(next);
  EXPECT_NE(next.server->id(), in_doubt);
}

TEST_F(ConnectionPoolTest, cancels_go_out_while_others_hang) {
  ConnectionPool& pool = add_pool(12);
  std::deque<Client> clients(12);
  for (Client& client : clients) ask(pool, client);
  for (Client& client : clients) wait_for(client);
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

TEST_F(ConnectionPoolTest, asks_again_when_a_second_cancel_comes_before_the_first_is_done) {
  ConnectionPool& pool = add_pool(1);
  Client first, second;
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

TEST_F(ConnectionPoolTest, a_cancel_that_can_not_leave_leaves_the_connection_as_it_is) {
  ConnectionPool& pool = add_pool(1);
  Client first;
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

TEST_F(ConnectionPoolTest, closes_a_connection_whose_node_is_frozen_without_waiting_for_it) {
  ConnectionPool& pool = add_pool(3);
  Client frozen, alone, polite;
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
  for (Client* client : {&frozen, &alone}) {
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

TEST_F(ConnectionPoolTest, hands_an_idle_connection_to_a_worker_whose_clients_starve) {
  ConnectionPool& mine = add_pool(1);
  ConnectionPool& other = add_pool(1);
  const uint64_t id = idle_one(mine).server->id();
  Client client;
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
  Client holder, early, late;
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
