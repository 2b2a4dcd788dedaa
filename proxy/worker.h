#pragma once
// One thread, one event loop: its listener, its clients, its pools, its router. Workers share nothing but the
// catalog snapshot, the connection budgets and the cancel registry. Everything but post() belongs to the
// worker's thread.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pool/connection_budget.h"
#include "pool/connection_pool.h"
#include "pool/event_loop.h"
#include "pool/hand_overs.h"
#include "pool/listener.h"
#include "pool/node_loads.h"
#include "pool/postgres/node_probe.h"
#include "proxy/clock.h"
#include "proxy/postgres/arrivals.h"
#include "proxy/postgres/cancel_registry.h"
#include "proxy/postgres/client_connection.h"
#include "proxy/postgres/login/login_rules.h"
#include "proxy/postgres/schema_changes.h"
#include "proxy/postgres/session/session.h"
#include "proxy/proxy.h"
#include "proxy/proxy_settings.h"
#include "proxy/report.h"
#include "proxy/shard_gate.h"

namespace mosaic::proxy {

// The pools of one user, by node.
struct UserPools {
  std::string user;
  std::vector<std::unique_ptr<pool::ConnectionPool>> by_node;
  uint32_t clients = 0;
};

// What the workers of a proxy have in common. Thread-safe or constant.
struct SharedState {
  pool::BudgetTable budgets;
  std::unique_ptr<CancelRegistry> cancels;
  std::atomic<uint32_t> clients{0};      // logged in, over all workers
  std::atomic<uint64_t> connections{0};  // of clients, logged in or not
  std::atomic<uint64_t> connections_max{UINT64_MAX};
  std::atomic<uint32_t> clients_max{UINT32_MAX};  // by the limit of descriptors
  std::atomic<uint32_t> clients_most{0};          // ever
  pool::HandOvers hand_overs;
  std::atomic<uint64_t> next_client_id{1};
  std::atomic<uint64_t> next_server_id{1};
  SchemaChanges schema_changes;
  Proxy::OnConsoleClient on_console;
  pool::EventSink* events = nullptr;  // never null once the proxy is made
  // Delivers a CancelRequest to the worker that has the client; tells every worker that a schema has changed.
  std::function<void(const CancelTarget&)> route_cancel;
  std::function<void(uint32_t from_worker)> broadcast_schema_change;
  // Closes the connection, of any worker, that has been idle longest and whose place would serve `user` on
  // the node; comes back at once, and closes none where none is idle.
  std::function<void(const pool::RoomRequest&)> make_room;
};

class Worker {
 public:
  // `healths`: of settings.nodes.
  Worker(uint32_t number, const ProxySettings& settings, const pool::NodeHealths& healths,
         std::shared_ptr<const LoginRules> rules, std::shared_ptr<const routing::CatalogSnapshot> catalog,
         SharedState& shared);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  routing::Status listen();  // before start(); binds
  uint16_t listen_port() const { return listener_ ? listener_->port() : 0; }
  void start();
  bool post(std::function<void()> message) { return mailbox_->post(std::move(message)); }
  bool is_stopped() const { return is_stopped_.load(); }
  void join();

  // On the worker's thread.
  void publish(std::shared_ptr<const routing::CatalogSnapshot> catalog);
  void reload(const ProxySettings& settings, const pool::NodeHealths& healths,
              std::shared_ptr<const LoginRules> rules);
  void shut_down(ShutdownMode mode);
  void cancel(const CancelTarget& target);
  void on_schema_change() { environment_.statements->forget_schema(); }
  void on_node_change(routing::NodeId node);
  // The shard is about to come to this node: connections for its clients are opened.
  void expect_shard(routing::ShardId shard, routing::NodeId node);
  // The pool whose place would do, with the connection that has been idle longest; null: none is idle. Only
  // until the loop's next turn.
  pool::ConnectionPool* find_room(const pool::RoomRequest& request);
  WorkerReport report(const ReportRequest& request);

  // For its clients.
  pool::EventLoop& loop() { return loop_; }
  SessionEnvironment& environment() { return environment_; }
  const ProxySettings& settings() const { return settings_; }
  const std::shared_ptr<const LoginRules>& rules() const { return rules_; }
  SharedState& shared() { return shared_; }
  pool::EventSink& events() const { return *shared_.events; }
  routing::BufferStock& buffers() { return buffers_; }
  std::span<char> client_buffer() { return client_buffer_; }
  std::span<char> server_buffer() { return server_buffer_; }
  UserPools& acquire_pools(const std::string& user);
  pool::ConnectionPool& pool_of(UserPools& pools, routing::NodeId node);
  pool::NodeLoads& node_loads() { return node_loads_; }
  ShardGate& gate() { return gate_; }
  ShardGate::Limits gate_limits() const {
    return {settings_.pool.max_waiting_clients, settings_.pool.query_wait_timeout_ms};
  }
  bool is_node_up(routing::NodeId node) const { return healths_[node.value]->is_up(); }
  void on_heard(routing::NodeId node) { heard_ms_[node.value] = loop_.now_ms(); }
  void remove(ClientHandle handle);  // at the end of the turn
  // Calls its end_turn() when all events of this turn have been handled.
  void end_turn_later(ClientConnection& client) { turns_.push_back(&client); }
  uint32_t number() const { return number_; }
  bool is_shutting_down() const { return is_shutting_down_; }
  void count_failed_login() { ++logins_failed_; }
  void count_refused_client() { ++clients_refused_; }

 private:
  void run();
  void on_accept(int fd, std::string address, uint16_t port);
  void on_tick();
  void apply_limits();  // of the settings, to sessions
  void set_nodes(const pool::NodeHealths& healths);
  void welcome_shards(const routing::CatalogSnapshot& before);
  void report_hand_overs(WorkerReport& report, bool with_servers) const;
  void end_turns();
  void stop_if_done();
  void stop();
  ClientConnection* find(ClientHandle handle);

  const uint32_t number_;
  ProxySettings settings_;
  std::shared_ptr<const LoginRules> rules_;
  SharedState& shared_;
  pool::NodeHealths healths_;  // by NodeId
  pool::EventLoop loop_;
  pool::NameValuesTable name_values_;
  std::unique_ptr<pool::Mailbox> mailbox_;
  std::unique_ptr<pool::Listener> listener_;
  std::unique_ptr<pool::Ticker> ticker_;
  std::unique_ptr<routing::Router> router_;
  std::unique_ptr<StatementCache> statements_;
  WelcomeCache welcomes_;
  ParseContexts parse_contexts_;
  QueryBinder binder_;
  routing::BufferStock buffers_;
  pool::NodeLoads node_loads_;
  std::vector<uint64_t> heard_ms_;            // by node: when a server last sent something
  std::unique_ptr<pool::NodeProber> prober_;  // of the whole process: the first worker's
  SessionEnvironment environment_;
  ShardGate gate_{environment_.moving};
  Arrivals arrivals_{loop_, environment_};
  std::map<std::string, UserPools> pools_;
  struct Slot {
    std::unique_ptr<ClientConnection> client;
    uint64_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<ClientConnection*> turns_;  // those who have had events in this turn
  uint32_t clients_ = 0;
  std::vector<char> client_buffer_, server_buffer_;
  uint64_t ticks_ = 0, ddl_seen_ = 0;
  uint64_t logins_failed_ = 0, clients_refused_ = 0;
  bool is_shutting_down_ = false;
  std::atomic<bool> is_stopped_{false};
  std::thread thread_;
};

}  // namespace mosaic::proxy
