#include "proxy/proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "pool/random.h"
#include "proxy/descriptor_limit.h"
#include "proxy/postgres/login/salt_secret.h"
#include "proxy/worker.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;

namespace {

double seconds(uint64_t microseconds) { return static_cast<double>(microseconds) / 1e6; }

// One line for an operator: what has happened, and what it means for whom.
std::string describe(const pool::NodeHealth::Change& change, const std::string& node, uint32_t shards,
                     uint32_t all_shards, bool refuses_when_slow) {
  using State = pool::NodeHealth::State;
  const std::string concerned = fmt::format("{} of {} shards are there", shards, all_shards);
  if (!change.refused_user.empty()) {
    return fmt::format("node \"{}\" does not let user {:?} in: {}; {}, other users are not concerned", node,
                       change.refused_user, change.error, concerned);
  }
  if (!change.taken_user.empty()) {
    return fmt::format("node \"{}\" lets user {:?} in again, after {:.1f} s", node, change.taken_user,
                       seconds(change.lasted_us));
  }
  switch (change.now) {
    case State::kUp:
      return fmt::format("node \"{}\" is up again, after {:.1f} s {}", node, seconds(change.lasted_us),
                         pool::to_text(change.before));
    case State::kSlow:
      return fmt::format("node \"{}\" does not answer: {}; {}, new statements for them {}", node,
                         change.error, concerned, refuses_when_slow ? "are refused" : "wait");
    case State::kDown:
      return fmt::format("node \"{}\" is down: {}; {}, statements for them fail", node, change.error,
                         concerned);
  }
  return "";
}

// Reports of all workers, on their way.
struct Gathering {
  // What a worker that does not come makes the others wait, at most.
  static constexpr std::chrono::milliseconds kMeetingLimit{100};

  std::mutex mutex;
  std::condition_variable change;
  size_t expected = 0;
  size_t arrived = 0, reported = 0;
  std::vector<WorkerReport> reports;

  // On a worker's thread: waits until all have come as far.
  void meet(size_t Gathering::*place) {
    std::unique_lock lock(mutex);
    ++(this->*place);
    change.notify_all();
    change.wait_for(lock, kMeetingLimit, [&] { return this->*place >= expected; });
  }
};

// Which of all workers has the connection that has been idle longest. Each says when its turn has come; the
// last to answer has the one found closed.
class RoomSearch {
 public:
  RoomSearch(pool::RoomRequest request, size_t workers)
      : request_(std::move(request)), unanswered_(workers) {}

  void ask(Worker& worker) {  // on the worker's thread
    const pool::ConnectionPool* found = worker.find_room(request_);
    answer(found != nullptr ? &worker : nullptr, found != nullptr ? *found->idle_since_ms() : 0);
  }
  // `worker`: null if it has none.
  void answer(Worker* worker, uint64_t idle_since_ms) {
    const std::lock_guard lock(mutex_);
    if (worker != nullptr && (found_ == nullptr || idle_since_ms < since_ms_)) {
      found_ = worker;
      since_ms_ = idle_since_ms;
    }
    if (--unanswered_ != 0 || found_ == nullptr) return;
    // What is in use again by then stays: those who wait ask anew.
    found_->post([request = request_, chosen = found_] {
      if (pool::ConnectionPool* pool = chosen->find_room(request)) pool->close_longest_idle();
    });
  }

 private:
  const pool::RoomRequest request_;
  std::mutex mutex_;
  size_t unanswered_;
  Worker* found_ = nullptr;
  uint64_t since_ms_ = 0;
};

}  // namespace

struct Proxy::State {
  std::mutex mutex;  // of the next three
  ProxySettings settings;
  pool::NodeHealths healths;  // by NodeId
  std::shared_ptr<const routing::CatalogSnapshot> catalog;
  SharedState shared;
  ScramKey secret{};
  std::shared_ptr<const LoginRules> rules;
  std::vector<std::unique_ptr<Worker>> workers;
  bool is_started = false;
  std::mutex collect_mutex;

  // For nodes that are new in the settings, under `mutex`.
  void make_healths() {
    while (healths.size() < settings.nodes.size()) {
      const auto id = static_cast<uint16_t>(healths.size());
      healths.push_back(std::make_shared<pool::NodeHealth>(
          [this, id](const pool::NodeHealth::Change& change) { on_node_change(routing::NodeId{id}, change); },
          unix_us));
    }
    for (size_t i = 0; i < healths.size(); ++i)
      healths[i]->set_refuses_when_slow(settings.nodes[i].refuses_when_slow);
  }
  // On whichever thread noticed.
  void on_node_change(routing::NodeId node, const pool::NodeHealth::Change& change) {
    std::shared_ptr<const routing::CatalogSnapshot> map;
    pool::NodeSettings of_node;
    {
      const std::lock_guard lock(mutex);
      map = catalog;
      of_node = settings.nodes[node.value];
    }
    uint32_t shards = 0;
    for (uint32_t shard = 0; shard < map->shard_count(); ++shard)
      shards += map->node_of(routing::ShardId{shard}) == node ? 1 : 0;
    const std::string line =
        describe(change, of_node.address.name, shards, map->shard_count(), of_node.refuses_when_slow);
    const bool is_good = change.refused_user.empty() && change.now == pool::NodeHealth::State::kUp;
    shared.events->record(
        pool::Event(is_good || !change.taken_user.empty() ? pool::Severity::kInfo : pool::Severity::kWarning,
                    "node")
            .add("node", of_node.address.name)
            .add("state", pool::to_text(change.now))
            .add("message", line));
    if (change.now == change.before) return;
    for (const auto& worker : workers) {
      worker->post([target = worker.get(), node] { target->on_node_change(node); });
    }
  }
  void plan_files() {
    const DescriptorPlan plan =
        plan_descriptors(raise_descriptor_limit(), settings, static_cast<uint32_t>(workers.size()));
    shared.connections_max = plan.connections;
    shared.clients_max = plan.clients;
    if (plan.is_for_everybody) return;
    shared.events->record(
        pool::Event(pool::Severity::kWarning, "open_files")
            .add("limit", plan.limit)
            .add("clients", plan.clients)
            .add("max_client_conn", settings.max_client_conn)
            .add("kept", plan.kept)
            .add("message",
                 fmt::format("the limit of open files, {}, is too low: it leaves room for {} clients "
                             "(max_client_conn = {}), {} descriptors are kept for servers and Mosaic itself; "
                             "raise it (ulimit -n, LimitNOFILE= of systemd)",
                             plan.limit, plan.clients, settings.max_client_conn, plan.kept)));
  }
  void apply_limits() {
    const pool::PoolSettings& pool = settings.pool;
    shared.budgets.set_limits(
        {pool.default_pool_size, pool.reserve_pool_size, pool.max_db_connections, pool.max_user_connections});
  }

  // Without a file salts are good for this process only, which is better than no logins.
  void make_salt_secret() {
    pool::fill_random(secret);
    if (settings.state_dir.empty()) return;
    if (const auto kept = load_or_make_salt_secret(settings.state_dir)) {
      secret = *kept;
    } else {
      shared.events->record(
          pool::Event(pool::Severity::kWarning, "salt_secret").add("message", kept.error().to_line()));
    }
  }

  routing::Result<std::shared_ptr<const LoginRules>> load_rules(const ProxySettings& from) {
    auto made = std::make_shared<LoginRules>();
    made->auth_type = from.auth_type;
    made->database = from.database;
    made->admin_users = from.admin_users;
    made->stats_users = from.stats_users;
    if (!from.auth_file.empty()) {
      const AuthFile* previous = rules ? rules->auth_file.get() : nullptr;
      auto file = AuthFile::load(from.auth_file, secret, previous);
      if (!file) return file.error();
      for (const std::string& warning : file->warnings())
        shared.events->record(pool::Event(pool::Severity::kWarning, "auth_file").add("message", warning));
      made->auth_file = std::make_shared<const AuthFile>(std::move(*file));
    } else if (from.auth_type == AuthType::kScramSha256) {
      return Error{routing::sqlstate::kConfigError, "[auth] type = \"scram-sha-256\" needs a file of users",
                   "", "set [auth] file to a file with lines \"user\" \"password\""};
    }
    return std::shared_ptr<const LoginRules>(std::move(made));
  }
};

Proxy::Proxy(ProxySettings settings, std::shared_ptr<const routing::CatalogSnapshot> catalog,
             OnConsoleClient on_console, pool::EventSink& events)
    : state_(std::make_unique<State>()) {
  state_->settings = std::move(settings);
  state_->catalog = std::move(catalog);
  state_->shared.on_console = std::move(on_console);
  state_->shared.events = &events;
  state_->make_healths();
  state_->apply_limits();
  state_->shared.cancels = std::make_unique<CancelRegistry>(pool::random_u64);
  state_->shared.route_cancel = [state = state_.get()](const CancelTarget& target) {
    Worker* worker = state->workers[target.worker].get();
    worker->post([worker, target] { worker->cancel(target); });
  };
  state_->shared.broadcast_schema_change = [state = state_.get()](uint32_t from) {
    for (const auto& worker : state->workers) {
      if (worker->number() == from) continue;
      worker->post([other = worker.get()] { other->on_schema_change(); });
    }
  };
  state_->shared.make_room = [state = state_.get()](const pool::RoomRequest& request) {
    const auto search = std::make_shared<RoomSearch>(request, state->workers.size());
    for (const auto& worker : state->workers) {
      if (!worker->post([search, asked = worker.get()] { search->ask(*asked); })) search->answer(nullptr, 0);
    }
  };
}

Proxy::~Proxy() {
  shut_down(ShutdownMode::kNow);
  for (auto& worker : state_->workers) worker->join();
}

routing::Status Proxy::start() {
  state_->make_salt_secret();
  auto rules = state_->load_rules(state_->settings);
  if (!rules) return rules.error();
  state_->rules = std::move(*rules);
  const auto& listen_on = state_->settings;
  if (auto status = pool::Listener::probe(listen_on.listen_address, listen_on.listen_port); !status)
    return status;
  uint32_t count = state_->settings.workers;
  if (count == 0) count = std::max(1u, std::thread::hardware_concurrency());
  count = std::min(count, pool::kWorkersMax);
  for (uint32_t i = 0; i < count; ++i) {
    auto worker = std::make_unique<Worker>(i, state_->settings, state_->healths, state_->rules,
                                           state_->catalog, state_->shared);
    if (auto status = worker->listen(); !status) {
      state_->workers.clear();
      return status;
    }
    // With port 0 the first worker's choice is everybody's.
    if (i == 0) state_->settings.listen_port = worker->listen_port();
    state_->workers.push_back(std::move(worker));
  }
  state_->plan_files();
  state_->is_started = true;
  for (auto& worker : state_->workers) worker->start();
  return {};
}

void Proxy::publish(std::shared_ptr<const routing::CatalogSnapshot> catalog) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->catalog = catalog;
  }
  for (auto& worker : state_->workers) {
    worker->post([target = worker.get(), catalog] { target->publish(catalog); });
  }
}

routing::Status Proxy::reload(ProxySettings settings) {
  auto rules = state_->load_rules(settings);
  if (!rules) return rules.error();
  state_->rules = *rules;
  settings.workers = state_->settings.workers;
  settings.listen_address = state_->settings.listen_address;
  settings.listen_port = state_->settings.listen_port;
  settings.database = state_->settings.database;
  {
    const std::lock_guard lock(state_->mutex);
    state_->settings = settings;
    state_->make_healths();
  }
  state_->apply_limits();
  state_->plan_files();
  for (auto& worker : state_->workers) {
    worker->post([target = worker.get(), settings, healths = state_->healths, shared_rules = state_->rules] {
      target->reload(settings, healths, shared_rules);
    });
  }
  return {};
}

void Proxy::expect_shard(routing::ShardId shard, routing::NodeId node) {
  for (auto& worker : state_->workers)
    worker->post([target = worker.get(), shard, node] { target->expect_shard(shard, node); });
}

SchemaChanges& Proxy::schema_changes() { return state_->shared.schema_changes; }

Report Proxy::collect(const ReportRequest& request, std::chrono::milliseconds deadline) {
  auto gathering = std::make_shared<Gathering>();
  const std::lock_guard one_at_a_time(state_->collect_mutex);  // two would wait for each other's workers
  gathering->expected = state_->workers.size();
  for (auto& worker : state_->workers) {
    const bool is_posted = worker->post([target = worker.get(), request, gathering] {
      if (request.is_of_one_instant) gathering->meet(&Gathering::arrived);
      WorkerReport report = target->report(request);
      {
        const std::lock_guard lock(gathering->mutex);
        gathering->reports.push_back(std::move(report));
        gathering->change.notify_all();
      }
      if (request.is_of_one_instant) gathering->meet(&Gathering::reported);
    });
    if (is_posted) continue;
    const std::lock_guard lock(gathering->mutex);
    --gathering->expected;
    gathering->change.notify_all();
  }
  std::unique_lock lock(gathering->mutex);
  Report report;
  report.is_complete = gathering->change.wait_for(
      lock, deadline, [&] { return gathering->reports.size() >= gathering->expected; });
  report.workers = std::move(gathering->reports);
  {
    const std::lock_guard nodes_lock(state_->mutex);
    for (const auto& health : state_->healths) report.nodes.push_back(health->status());
  }
  report.clients = state_->shared.clients.load();
  report.clients_most = std::max(report.clients, state_->shared.clients_most.load());
  report.connections = state_->shared.connections.load();
  report.connections_max = state_->shared.connections_max.load();
  std::sort(report.workers.begin(), report.workers.end(),
            [](const WorkerReport& a, const WorkerReport& b) { return a.worker < b.worker; });
  return report;
}

void Proxy::shut_down(ShutdownMode mode) {
  for (auto& worker : state_->workers) {
    worker->post([target = worker.get(), mode] { target->shut_down(mode); });
  }
}

bool Proxy::wait_until_stopped(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  const auto all_stopped = [this] {
    return std::all_of(state_->workers.begin(), state_->workers.end(),
                       [](const auto& w) { return w->is_stopped(); });
  };
  while (!all_stopped()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

uint16_t Proxy::listen_port() const { return state_->settings.listen_port; }

}  // namespace mosaic::proxy
