#include "proxy/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

constexpr uint64_t kTickMs = 100;
constexpr uint64_t kClientTicks = 5;  // each client's timeouts are looked at every so many ticks
constexpr size_t kReadBytes = 128 << 10;
constexpr size_t kShapesReported = 1000;
constexpr uint32_t kHalfOpenMax = 20'000;  // connections that have not logged in, per worker

uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}
uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

}  // namespace

uint64_t monotonic_us() { return clock_ns(CLOCK_MONOTONIC) / 1000; }
uint64_t unix_us() { return clock_ns(CLOCK_REALTIME) / 1000; }

Worker::Worker(uint32_t number, const ProxySettings& settings, const pool::NodeHealths& healths,
               std::shared_ptr<const LoginRules> rules,
               std::shared_ptr<const routing::CatalogSnapshot> catalog, SharedState& shared)
    : number_(number),
      settings_(settings),
      rules_(std::move(rules)),
      shared_(shared),
      mailbox_(std::make_unique<pool::Mailbox>(loop_)),
      router_(
          std::make_unique<routing::Router>(routing::RouterLimits{settings.shape_cache_bytes, monotonic_ns})),
      statements_(
          std::make_unique<StatementCache>(settings.statement_cache_bytes, number + 1, pool::kWorkersMax)),
      parse_contexts_(number + 1, pool::kWorkersMax),
      client_buffer_(kReadBytes),
      server_buffer_(kReadBytes) {
  environment_.router = router_.get();
  environment_.statements = statements_.get();
  environment_.welcomes = &welcomes_;
  environment_.parse_contexts = &parse_contexts_;
  environment_.binder = &binder_;
  environment_.buffers = &buffers_;
  environment_.node_loads = &node_loads_;
  environment_.schema_changes = &shared.schema_changes;
  environment_.name_values = &name_values_;
  environment_.clock = TurnClock(monotonic_us);
  apply_limits();
  set_nodes(healths);
  publish(std::move(catalog));
}

Worker::~Worker() { join(); }

routing::Status Worker::listen() {
  auto opened = pool::Listener::open(
      loop_, settings_.listen_address, settings_.listen_port, settings_.listen_backlog,
      [this](int fd, std::string address, uint16_t port) { on_accept(fd, std::move(address), port); });
  if (!opened) return opened.error();
  listener_ = std::move(*opened);
  return {};
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  if (number_ == 0) {
    prober_ = std::make_unique<pool::NodeProber>(loop_);
    prober_->set_nodes(settings_.nodes, healths_);
  }
  ticker_ = std::make_unique<pool::Ticker>(loop_, kTickMs, [this] { on_tick(); });
  loop_.set_before_wait([this] { end_turns(); });
  loop_.run();
  // Everything that has handles in the loop goes before the loop does, on this thread.
  slots_.clear();
  pools_.clear();
  prober_.reset();
  ticker_.reset();
  listener_.reset();
  mailbox_->close();
  is_stopped_.store(true);
}

void Worker::on_accept(int fd, std::string address, uint16_t port) {
  uint32_t slot = 0;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  Slot& place = slots_[slot];
  ++place.generation;
  ++clients_;
  pool::KeepaliveSettings keepalive = settings_.pool.keepalive;
  keepalive.user_timeout_ms = 0;  // a client may pause for as long as it likes
  pool::set_keepalive(fd, keepalive);
  shared_.connections.fetch_add(1);
  place.client = std::make_unique<ClientConnection>(*this, ClientHandle{slot, place.generation}, fd,
                                                    std::move(address), port);
  // Far more than can ever log in: somebody opens connections and says nothing.
  if (clients_ > settings_.max_client_conn + kHalfOpenMax) {
    ++clients_refused_;
    events().record(pool::Event(pool::Severity::kWarning, "client_refused")
                        .add("reason", "too many connections that have not logged in")
                        .add("limit", kHalfOpenMax));
    place.client->close_now({});
  } else if (shared_.connections.load() > shared_.connections_max.load()) {
    ++clients_refused_;
    events().record(pool::Event(pool::Severity::kWarning, "client_refused")
                        .add("reason", "open files")
                        .add("limit", shared_.connections_max.load()));
    place.client->turn_away();
  }
}

ClientConnection* Worker::find(ClientHandle handle) {
  if (handle.slot >= slots_.size() || slots_[handle.slot].generation != handle.generation) return nullptr;
  return slots_[handle.slot].client.get();
}

void Worker::remove(ClientHandle handle) {
  loop_.defer([this, handle] {
    if (find(handle) == nullptr) return;
    slots_[handle.slot].client.reset();
    free_slots_.push_back(handle.slot);
    --clients_;
    shared_.connections.fetch_sub(1);
    if (is_shutting_down_) stop_if_done();
  });
}

// What many clients' events queued in a turn is sent together: the peers wake up to more than one message,
// and servers get theirs first.
void Worker::end_turns() {
  for (size_t i = 0; i < turns_.size(); ++i) turns_[i]->flush_server();
  for (size_t i = 0; i < turns_.size(); ++i) turns_[i]->end_turn();  // one may let another begin
  turns_.clear();
  environment_.clock.end_turn();
}

UserPools& Worker::acquire_pools(const std::string& user) {
  UserPools& pools = pools_[user];
  if (pools.by_node.empty()) {
    pools.user = user;
    pools.by_node.resize(settings_.nodes.size());
  }
  ++pools.clients;
  return pools;
}

pool::ConnectionPool& Worker::pool_of(UserPools& pools, routing::NodeId node) {
  auto& pool = pools.by_node[node.value];
  if (pool) return *pool;
  pool::ConnectionPool::Environment environment;
  environment.loop = &loop_;
  environment.tables = &name_values_;
  environment.worker = number_;
  environment.mailbox = mailbox_.get();
  environment.settings = &settings_.pool;
  environment.next_server_id = [this] { return shared_.next_server_id.fetch_add(1); };
  environment.make_room = shared_.make_room;
  environment.events = &events();
  environment.hand_overs = &shared_.hand_overs;
  const AuthUser* secret = rules_->auth_file ? rules_->auth_file->find(pools.user) : nullptr;
  pool = std::make_unique<pool::ConnectionPool>(
      std::move(environment), node, settings_.nodes[node.value].address, pools.user,
      secret != nullptr ? secret->plaintext : "", shared_.budgets.find_or_add(node, pools.user),
      healths_[node.value]);
  pool->set_in_use(environment_.catalog->is_in_use(node));
  return *pool;
}

void Worker::publish(std::shared_ptr<const routing::CatalogSnapshot> catalog) {
  if (environment_.catalog && environment_.catalog->tables_fingerprint() != catalog->tables_fingerprint()) {
    statements_->forget_schema();
  }
  environment_.traffic.resize(catalog->node_names().size());
  for (size_t i = 0; i < environment_.traffic.size(); ++i)
    environment_.traffic[i].node.value = static_cast<uint16_t>(i);
  environment_.shard_queries.resize(catalog->shard_count());
  environment_.shard_us.resize(catalog->shard_count());
  const std::shared_ptr<const routing::CatalogSnapshot> before =
      std::exchange(environment_.catalog, std::move(catalog));
  for (uint16_t i = 0; i < environment_.catalog->node_count(); ++i) {
    const bool is_in_use = environment_.catalog->is_in_use(routing::NodeId{i});
    node_loads_.set_in_use(routing::NodeId{i}, is_in_use);
    for (auto& [user, pools] : pools_) {
      if (pools.by_node[i]) pools.by_node[i]->set_in_use(is_in_use);
    }
  }
  gate_.on_map(*environment_.catalog, loop_.now_ms());
  if (before) welcome_shards(*before);
}

void Worker::apply_limits() {
  environment_.max_prepared_statements = settings_.pool.max_prepared_statements;
  environment_.prepare_threshold = settings_.pool.prepare_threshold;
  environment_.prepare_simple_queries = settings_.pool.prepare_simple_queries;
  environment_.max_client_prepared_statements = settings_.max_client_prepared_statements;
  environment_.max_held_bytes = settings_.max_held_bytes;
  environment_.max_client_prepared_bytes = settings_.max_client_prepared_bytes;
  environment_.max_statement_bytes = settings_.max_statement_bytes;
  environment_.max_pipeline_messages = settings_.max_pipeline_messages;
  environment_.max_replay_bytes = settings_.max_replay_bytes;
  environment_.slow_statement_us = uint64_t{settings_.log_min_duration_ms} * 1000;
}

void Worker::set_nodes(const pool::NodeHealths& healths) {
  healths_ = healths;
  node_loads_.set_nodes(healths);
  heard_ms_.resize(healths.size());
  for (auto& [user, pools] : pools_) pools.by_node.resize(healths.size());
  if (prober_) prober_->set_nodes(settings_.nodes, healths);
}

void Worker::reload(const ProxySettings& settings, const pool::NodeHealths& healths,
                    std::shared_ptr<const LoginRules> rules) {
  rules_ = std::move(rules);
  settings_ = settings;
  set_nodes(healths);
  apply_limits();
  router_->set_shape_cache_bytes(settings.shape_cache_bytes);
  statements_->set_bytes_max(settings.statement_cache_bytes);
  statements_->forget_schema();
  welcomes_.clear();
  for (auto& [user, pools] : pools_) {
    const AuthUser* secret = rules_->auth_file ? rules_->auth_file->find(user) : nullptr;
    for (size_t node = 0; node < pools.by_node.size(); ++node) {
      if (!pools.by_node[node]) continue;
      pools.by_node[node]->set_address(settings_.nodes[node].address,
                                       secret != nullptr ? secret->plaintext : "");
    }
  }
}

void Worker::on_node_change(routing::NodeId node) {
  if (node.value >= healths_.size()) return;  // it has come with a reload that is still on its way here
  for (auto& [user, pools] : pools_) {
    if (pools.by_node[node.value]) pools.by_node[node.value]->on_node_change();
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].client) slots_[i].client->on_node_change(node);
  }
}

void Worker::expect_shard(routing::ShardId shard, routing::NodeId node) {
  if (shard.value >= environment_.catalog->shard_count() || node.value >= healths_.size()) return;
  const routing::NodeId from = environment_.catalog->place_of(shard).node;
  if (from == node) return;
  for (auto& [user, pools] : pools_) {
    if (pools.clients > 0 && pools.by_node[from.value])
      Arrivals::open_connections(shard, *pools.by_node[from.value], pool_of(pools, node));
  }
}

// Who waits at the gate goes first; connections that are idle then get what the shard's clients use.
void Worker::welcome_shards(const routing::CatalogSnapshot& before) {
  const routing::CatalogSnapshot& now = *environment_.catalog;
  for (uint32_t shard = 0; shard < std::min(before.shard_count(), now.shard_count()); ++shard) {
    const routing::NodeId from = before.place_of({shard}).node, to = now.place_of({shard}).node;
    if (from == to) continue;
    for (auto& [user, pools] : pools_) {
      if (std::max(from.value, to.value) < pools.by_node.size() && pools.by_node[from.value] &&
          pools.by_node[to.value])
        arrivals_.give_statements({shard}, *pools.by_node[from.value], *pools.by_node[to.value]);
    }
  }
}

pool::ConnectionPool* Worker::find_room(const pool::RoomRequest& request) {
  using Of = pool::RoomRequest::Of;
  pool::ConnectionPool* found = nullptr;
  for (auto& [user, pools] : pools_) {
    if ((user == request.user) != (request.of == Of::kUser)) continue;
    for (size_t i = 0; i < pools.by_node.size(); ++i) {
      pool::ConnectionPool* pool = pools.by_node[i].get();
      if ((i == request.node.value) != (request.of == Of::kNode)) continue;
      if (pool == nullptr || !pool->idle_since_ms()) continue;
      if (found == nullptr || *pool->idle_since_ms() < *found->idle_since_ms()) found = pool;
    }
  }
  return found;
}

void Worker::cancel(const CancelTarget& target) {
  if (ClientConnection* client = find(ClientHandle{target.slot, target.generation}))
    client->on_cancel_request();
}

void Worker::on_tick() {
  const uint64_t now_ms = loop_.now_ms();
  ++ticks_;
  if (listener_) listener_->on_tick();
  gate_.on_tick(*environment_.catalog, gate_limits(), now_ms);
  for (auto& [user, pools] : pools_) {
    for (auto& pool : pools.by_node) {
      if (pool) pool->on_tick(now_ms, pools.clients > 0);
    }
  }
  arrivals_.on_tick(settings_.pool.node_stall_timeout_ms);
  for (size_t node = 0; node < heard_ms_.size(); ++node) {
    if (heard_ms_[node] != 0) healths_[node]->on_heard(std::exchange(heard_ms_[node], 0));
  }
  if (number_ == 0) {
    for (const auto& health : healths_) health->on_tick();
  }
  if (prober_)
    prober_->on_tick({settings_.pool.node_probe_interval_ms, settings_.pool.node_stall_timeout_ms}, now_ms);
  if (environment_.ddl_statements != ddl_seen_) {
    ddl_seen_ = environment_.ddl_statements;
    shared_.broadcast_schema_change(number_);
  }
  // A share of the clients at each tick: looking at ten thousand idle ones at once would make active ones
  // wait.
  for (size_t i = ticks_ % kClientTicks; i < slots_.size(); i += kClientTicks) {
    if (slots_[i].client) slots_[i].client->on_tick(now_ms);
  }
  if (ticks_ % kClientTicks == 0) {
    // Users who are gone and whose connections have idled out leave nothing behind.
    std::erase_if(pools_, [](const auto& entry) {
      if (entry.second.clients > 0) return false;
      for (const auto& pool : entry.second.by_node) {
        if (pool && !pool->servers().empty()) return false;
      }
      return true;
    });
  }
  if (is_shutting_down_) stop_if_done();
}

void Worker::shut_down(ShutdownMode mode) {
  listener_.reset();
  const bool was_shutting_down = std::exchange(is_shutting_down_, true);
  if (mode == ShutdownMode::kNow) {
    stop();
    return;
  }
  if (mode == ShutdownMode::kWaitForServers || was_shutting_down) {
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].client) slots_[i].client->on_shutdown();
    }
  }
  stop_if_done();
}

void Worker::stop_if_done() {
  if (clients_ == 0) stop();
}

void Worker::stop() { loop_.stop(); }

WorkerReport Worker::report(const ReportRequest& request) {
  WorkerReport report;
  report.worker = number_;
  report.traffic = environment_.traffic;
  report.shard_queries = environment_.shard_queries;
  report.shard_us = environment_.shard_us;
  if (request.users && number_ == 0 && rules_->auth_file) report.users = rules_->auth_file->names();
  report.shape_cache = router_->statistics();
  if (request.shapes) report.shapes = router_->shapes(kShapesReported);
  report.logins_failed = logins_failed_;
  report.clients_refused = clients_refused_;
  report.refused_statements = environment_.refused_statements;
  report.described_from_cache = environment_.described_from_cache;
  report.bound_queries = environment_.bound_queries;
  report.unbound_queries = environment_.unbound_queries;
  report.healed_statements = environment_.healed_statements;
  report.moving = environment_.moving;
  report.clients_at_gate = gate_.clients_by_shard();
  report.rested_servers = environment_.rested_servers;
  report.looked_servers = environment_.looked_servers;
  report.moved_transactions = environment_.moved_transactions;
  report.statement_cache_bytes = statements_->bytes();
  report.statement_evictions = statements_->evictions();
  report.statements = statements_->size();
  report.statement_cache_bytes_max = settings_.statement_cache_bytes;
  const uint64_t now_ms = loop_.now_ms();
  const uint64_t now_us = unix_us();
  report.nodes.resize(settings_.nodes.size());
  for (size_t i = 0; i < report.nodes.size(); ++i) report.nodes[i].node.value = static_cast<uint16_t>(i);
  std::map<std::pair<std::string, uint16_t>, uint32_t> clients_active;
  struct Holder {
    uint64_t client_id;
    int shard;
  };
  std::map<uint64_t, Holder> holders;  // by server
  for (const Slot& slot : slots_) {
    if (!slot.client) continue;
    ClientReport client = slot.client->report(now_ms, request.statements);
    if (client.server_id != 0) {
      ++clients_active[{client.user, static_cast<uint16_t>(client.node)}];
      if (request.servers) holders[client.server_id] = {client.id, client.shard};
    }
    if (client.state == "pinned") ++report.pinned_sessions;
    if (request.clients) report.clients.push_back(std::move(client));
  }
  for (const auto& [user, pools] : pools_) {
    for (const auto& pool : pools.by_node) {
      if (!pool) continue;
      PoolReport row;
      row.node = pool->node();
      row.user = user;
      row.clients_active = clients_active[{user, pool->node().value}];
      row.clients_waiting = pool->waiting();
      report.clients_waiting_max = std::max(report.clients_waiting_max, pool->waiting_max());
      row.longest_wait_us = pool->longest_wait_ms(now_ms) * 1000;
      row.pool_size = pool->budget().limit();
      for (const auto& server : pool->servers()) {
        ServerReport line;
        using State = pool::ServerConnection::State;
        switch (server->state()) {
          case State::kConnecting:
            ++row.servers_login, line.state = "login";
            break;
          case State::kIdle:
            ++row.servers_idle, line.state = "idle";
            break;
          case State::kCanceling:
            ++row.servers_being_canceled, line.state = "being_canceled";
            break;
          case State::kActive:
          case State::kClosing:
            ++row.servers_active, line.state = "active";
            break;
        }
        row.clients_cancel_active += server->is_cancel_pending();
        if (!request.servers) continue;
        line.user = user;
        line.database = settings_.nodes[pool->node().value].address.dbname;
        line.node = pool->node();
        line.connect_time_us =
            server->connected_ms() == 0 ? now_us : now_us - (now_ms - server->connected_ms()) * 1000;
        line.request_time_us = now_us - (now_ms - server->state_since_ms()) * 1000;
        line.remote_pid = server->memory().process_id;
        line.prepared_statements = static_cast<uint32_t>(server->memory().statements.size());
        line.id = server->id();
        line.local_port = server->local_port();
        line.local_address = server->local_address();
        line.unsent_bytes = server->unsent_bytes();
        if (const auto holder = holders.find(server->id()); holder != holders.end()) {
          line.client_id = holder->second.client_id;
          line.shard = holder->second.shard;
        }
        line.worker = number_;
        if (const std::string* name = server->memory().parameters->find("application_name"))
          line.application_name = *name;
        report.servers.push_back(std::move(line));
      }
      report.nodes[pool->node().value].connections += static_cast<uint32_t>(pool->servers().size());
      report.pools.push_back(std::move(row));
    }
  }
  if (number_ == 0) report_hand_overs(report, request.servers);
  return report;
}

// Connections that are in no worker's pool for the moment: they count as idle ones.
void Worker::report_hand_overs(WorkerReport& report, bool with_servers) const {
  const uint64_t now_ms = loop_.now_ms(), now_us = unix_us();
  for (const pool::HandedOver& connection : shared_.hand_overs.list()) {
    PoolReport row;
    row.node = connection.node;
    row.user = connection.user;
    row.servers_idle = 1;
    report.pools.push_back(std::move(row));
    ++report.nodes[connection.node.value].connections;
    if (!with_servers) continue;
    ServerReport line;
    line.user = connection.user;
    line.database = settings_.nodes[connection.node.value].address.dbname;
    line.state = "handed_over";
    line.node = connection.node;
    line.connect_time_us = now_us - (now_ms - std::min(now_ms, connection.connected_ms)) * 1000;
    line.request_time_us = now_us;
    line.remote_pid = connection.remote_pid;
    line.prepared_statements = connection.prepared_statements;
    line.id = connection.id;
    line.local_port = connection.local_port;
    line.worker = connection.to_worker;
    report.servers.push_back(std::move(line));
  }
}

}  // namespace mosaic::proxy
