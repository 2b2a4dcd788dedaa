#pragma once
// Pools over a real loop and real sockets, against a server that only logs in. Time is passed to on_tick,
// never waited for.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "pool/connection_pool.h"
#include "tests/pool/loop_harness.h"
#include "tests/pool/tiny_postgres.h"

namespace mosaic::pool {
struct PoolClient final : Waiter {
  void on_lease(ServerConnection& leased) override {
    server = &leased;
    if (order != nullptr) order->push_back(this);
  }
  void on_lease_failed(const routing::Error& failure) override { error = failure; }
  ServerConnection* server = nullptr;
  std::optional<routing::Error> error;
  std::vector<PoolClient*>* order = nullptr;
};

class ConnectionPoolFixture : public testing::Test {
 protected:
  ConnectionPoolFixture() { settings_.server_login_retry_ms = 60'000; }
  ~ConnectionPoolFixture() override {
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
  void ask(ConnectionPool& pool, PoolClient& client) {
    const auto grant = pool.acquire(client, std::nullopt);
    client.server = grant.server;
    client.error = grant.error;
  }
  void wait_for(PoolClient& client) {
    run_until(
        loop_, [&] { return client.server != nullptr; }, "a lease");
  }
  ConnectionPool::Grant idle_one(ConnectionPool& pool) {
    PoolClient client;
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

}  // namespace mosaic::pool
