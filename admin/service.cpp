#include "admin/service.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <random>

#include "admin/catalog/catalog_source.h"
#include "admin/catalog/node_connection.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/config/config_loader.h"
#include "admin/config/config_reload.h"
#include "admin/init/init_runner.h"
#include "admin/init/node_removal.h"
#include "admin/version.h"
#include "proxy/postgres/schema_changes.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using pool::Event;
using pool::Severity;
using routing::Error;
using routing::Status;

constexpr std::chrono::milliseconds kReportLimit{2000};
constexpr std::chrono::milliseconds kSizesKept{5000};
constexpr std::chrono::milliseconds kLocksLimit{1000};  // for each node to log in to, and to answer
constexpr std::chrono::milliseconds kCountLimit{100};
constexpr std::chrono::milliseconds kIdentityLimit{1000};  // for each node to log in to, and to answer
constexpr std::chrono::milliseconds kTakeLimit{10'000};    // for a change of the catalog to arrive

ProxyIdentity identity_of_this_process(uint16_t port) {
  std::random_device random;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return {fmt::format("{:08x}{:08x}", random(), random()), host, static_cast<int>(getpid()), port,
          mosaic_version()};
}

bool is_same_target(const ConnectionTarget& a, const ConnectionTarget& b) {
  return a.host == b.host && a.port == b.port && a.dbname == b.dbname && a.user == b.user;
}

Status refuse_mistaken_nodes(const Config& config, const std::vector<std::string>& names,
                             const std::string& cluster_id) {
  const auto mistaken = find_mistaken_nodes(config, names, cluster_id, kIdentityLimit);
  if (mistaken.empty()) return {};
  return Error{routing::sqlstate::kConfigError, "a node's address leads to another node",
               fmt::format("{}", fmt::join(mistaken, "; ")), "correct host, port or dbname"};
}

void warn_of_one_sided(const CatalogState& state, const Config& config) {
  for (const std::string& line : describe_one_sided_tables(state, config)) spdlog::warn("catalog: {}", line);
  for (const std::string& line : describe_unused_nodes(state, config)) spdlog::warn("catalog: {}", line);
}

// The console stops the process the way an operator's kill does, so that there is one way down.
int signal_of(proxy::ShutdownMode mode) {
  switch (mode) {
    case proxy::ShutdownMode::kWaitForServers:
      return SIGINT;
    case proxy::ShutdownMode::kWaitForClients:
      return SIGTERM;
    case proxy::ShutdownMode::kNow:
      break;
  }
  return SIGQUIT;
}

}  // namespace

Service::Service(Config config, EventLog& events)
    : events_(events), config_(std::make_shared<const Config>(std::move(config))) {
  events_.configure(config_->log);
}

Service::~Service() {
  if (moves_) moves_->stop();
  if (const auto watching = watcher()) watching->stop();
  follower_.reset();
  if (proxy_) {
    // Its workers hand clients to the console, and the console asks it for reports: the workers end first,
    // the object last.
    proxy_->shut_down(proxy::ShutdownMode::kNow);
    while (!proxy_->wait_until_stopped(kReportLimit)) spdlog::warn("workers are still stopping");
  }
  console_.reset();
}

std::shared_ptr<const Config> Service::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

std::shared_ptr<CatalogWatcher> Service::watcher() const {
  const std::lock_guard lock(mutex_);
  return watcher_;
}

std::shared_ptr<const routing::CatalogSnapshot> Service::catalog() const {
  const std::lock_guard lock(mutex_);
  return catalog_;
}

Status Service::start() {
  auto found = find_catalog(*config_, CatalogSearch::kCatalogThenDisk);
  if (!found) return found.error();
  if (!found->warning.empty()) spdlog::warn("catalog: {}", found->warning);
  Definitions definitions = read_definitions_once(*config_, found->state);
  auto snapshot = build_snapshot(found->state, *config_, definitions);
  if (!snapshot) return snapshot.error();
  catalog_ = std::move(*snapshot);
  std::vector<std::string> names;
  for (const NodeConfig& node : config_->nodes) names.push_back(node.address.name);
  if (Status status = refuse_mistaken_nodes(*config_, names, found->state.cluster_id); !status) return status;
  warn_of_one_sided(found->state, *config_);

  proxy_ = std::make_unique<proxy::Proxy>(
      config_->proxy, catalog_, [this](proxy::ConsoleClient client) { console_->serve(std::move(client)); },
      events_);
  console_ = std::make_unique<ConsoleServer>(console_backend());
  proxy_->schema_changes().set_on_change([this] { schema_changed_.raise(); });
  if (Status status = proxy_->start(); !status) return status;
  identity_ = identity_of_this_process(proxy_->listen_port());
  watch({std::move(found->state), std::move(definitions), {}});
  moves_ = std::make_unique<MoveService>([this] { return config(); }, identity_.id, &events_,
                                         [this] { return moving_counts(); },
                                         [this](routing::ShardId shard, const std::string& node) {
                                           if (const NodeConfig* to = config()->find_node(node))
                                             proxy_->expect_shard(shard, to->id);
                                         });
  events_.record(Event(Severity::kInfo, "started")
                     .add("version", mosaic_version())
                     .add("address", config_->proxy.listen_address)
                     .add("port", proxy_->listen_port())
                     .add("database", config_->proxy.database)
                     .add("shards", catalog_->shard_count())
                     .add("nodes", config_->nodes.size())
                     .add("map_epoch", catalog_->epoch().value));
  return {};
}

Status Service::reload() {
  Status status = take_file();
  if (!status)
    events_.record(Event(Severity::kError, "reload_refused")
                       .add("file", config()->path)
                       .add("reason", status.error().to_line()));
  return status;
}

Status Service::take_file() {
  const std::lock_guard one_at_a_time(reload_mutex_);
  const auto running = config();
  if (is_stopping_)
    return Error{routing::sqlstate::kCannotConnectNow, "Mosaic is shutting down; nothing was changed", "",
                 ""};
  ConfigLoad load = load_config(running->path);
  if (!load.errors.is_empty())
    return Error{routing::sqlstate::kConfigError, "the configuration file has errors; nothing was changed",
                 load.errors.to_text(running->path), "correct the file and RELOAD again"};
  if (const auto fixed = fixed_differences(*running, load.config); !fixed.empty())
    return Error{routing::sqlstate::kConfigError,
                 "the configuration file changes what needs a restart; nothing was changed",
                 fmt::format("{}", fmt::join(fixed, "; ")),
                 "restart Mosaic, or take these changes out and RELOAD again"};
  if (Status status = keep_node_ids(*running, load.config); !status) return status;
  CatalogKnowledge known = watcher()->hand_over();
  Status status = take(std::move(load.config), known);
  watch(std::move(known));
  if (!status) return status;
  const std::vector<std::string> changes = changed_keys(*running, *config());
  events_.record(Event(Severity::kInfo, "reloaded")
                     .add("file", running->path)
                     .add("changes", changes.empty() ? "none" : fmt::format("{}", fmt::join(changes, "; "))));
  return {};
}

// All that may be wrong with it is found before anything is changed.
Status Service::take(Config config, const CatalogKnowledge& known) {
  const auto running = this->config();
  if (!is_same_target(catalog_target(*running), catalog_target(config)) ||
      running->catalog.schema != config.catalog.schema) {
    if (Status status = check_catalog_identity(config, known.state.cluster_id); !status) return status;
  }
  std::vector<std::string> moved;
  for (const NodeConfig& node : config.nodes) {
    const NodeConfig* before = running->find_node(node.address.name);
    if (before == nullptr || before->address != node.address) moved.push_back(node.address.name);
  }
  if (Status status = refuse_mistaken_nodes(config, moved, known.state.cluster_id); !status) return status;
  auto snapshot = build_snapshot(known.state, config, known.definitions);
  if (!snapshot) return snapshot.error();
  if (Status status = proxy_->reload(config.proxy); !status) return status;
  events_.configure(config.log);
  warn_of_one_sided(known.state, config);
  auto taken = std::make_shared<const Config>(std::move(config));
  {
    const std::lock_guard lock(mutex_);
    config_ = std::move(taken);
  }
  publish(**snapshot);
  return {};
}

void Service::watch(CatalogKnowledge known) {
  auto made = std::make_shared<CatalogWatcher>(
      *config(), identity_, std::move(known), schema_changed_,
      [this] { return proxy_->schema_changes().count(); },
      [this] {
        return ProxyLoad{catalog()->epoch().value, proxy_->collect({}, kReportLimit).clients};
      },
      [this](const std::shared_ptr<const routing::CatalogSnapshot>& newer) { publish(*newer); });
  {
    const std::lock_guard lock(mutex_);
    watcher_.swap(made);
  }
  follower_ = std::make_unique<MapFollower>(
      *config(), [this](const std::vector<routing::ShardPlaceChange>& changes) { publish_places(changes); });
}

void Service::publish(const routing::CatalogSnapshot& built) {
  const std::lock_guard lock(mutex_);
  std::vector<routing::ShardPlaceChange> known;
  for (uint32_t shard = 0; shard < catalog_->shard_count(); ++shard)
    known.push_back({{shard}, catalog_->place_of({shard})});
  catalog_ = built.with_places(known);
  proxy_->publish(catalog_);
}

void Service::publish_places(const std::vector<routing::ShardPlaceChange>& changes) {
  const std::lock_guard lock(mutex_);
  catalog_ = catalog_->with_places(changes);
  proxy_->publish(catalog_);
}

Status Service::change_node(const NodeChange& change, const Say& say, const StopSignal& stop) {
  return change.is_removal ? remove_node(change, say, stop) : add_node(change, say, stop);
}

Status Service::add_node(const NodeChange& change, const Say& say, const StopSignal& stop) {
  const std::string path = config()->path;
  ConfigLoad load = load_config(path);
  if (!load.errors.is_empty())
    return Error{routing::sqlstate::kConfigError, "the configuration file has errors; nothing was changed",
                 load.errors.to_text(path), "correct the file and try again"};
  if (load.config.find_node(change.node) == nullptr)
    return Error{
        routing::sqlstate::kUndefinedObject,
        fmt::format("the configuration file does not list node \"{}\"", change.node), "the file is " + path,
        fmt::format("add a section [nodes.{}] with its host and port to the file of every proxy, then "
                    "ADD NODE {} here",
                    change.node, change.node)};
  if (!change.is_dry_run) {
    if (Status status = reload(); !status) return status;
    load.config = *config();
  }
  // Tables that are not made yet are no affair of the node's.
  std::erase_if(load.config.tables,
                [&](const TableConfig& table) { return catalog()->find_table(table.name) < 0; });
  InitOptions options;
  options.is_dry_run = change.is_dry_run;
  options.only_node = change.node;
  options.say = say;
  options.stop = &stop;
  if (Status status = InitRunner(load.config, std::nullopt, options).run(); !status || change.is_dry_run)
    return status;
  if (Status status = wait_for_use(change.node, true, stop); !status) return status;
  say(fmt::format("node {} is in use; proxies whose file does not list it do without it", change.node));
  return {};
}

Status Service::remove_node(const NodeChange& change, const Say& say, const StopSignal& stop) {
  const auto running = config();
  if (Status status = take_out_of_use(*running, change, say, stop); !status || change.is_dry_run)
    return status;
  if (running->find_node(change.node) == nullptr) return {};
  if (Status status = wait_for_use(change.node, false, stop); !status) return status;
  say(fmt::format(
      "node {0} is out of use; take [nodes.{0}] out of the file of every proxy and RELOAD; ADD NODE {0} "
      "takes it back",
      change.node));
  return {};
}

Status Service::wait_for_use(const std::string& node, bool is_in_use, const StopSignal& stop) const {
  const auto until = std::chrono::steady_clock::now() + kTakeLimit;
  const auto is_taken = [&] {
    const auto now = config();  // another console may reload a file without the node meanwhile
    const NodeConfig* listed = now->find_node(node);
    return listed == nullptr ? !is_in_use : catalog()->is_in_use(listed->id) == is_in_use;
  };
  while (!is_taken()) {
    if (std::chrono::steady_clock::now() >= until || stop.wait_ms(20))
      return Error{routing::sqlstate::kCannotConnectNow,
                   "the catalog has the change, this proxy has not taken it yet",
                   watcher()->status().last_error, "SHOW NODES and the log tell when it does"};
  }
  return {};
}

void Service::shut_down(proxy::ShutdownMode mode) {
  // The map may stay as it is for what little is left to route, and the catalog should know first.
  {
    const std::lock_guard lock(reload_mutex_);
    is_stopping_ = true;
  }
  if (moves_) moves_->stop();
  watcher()->stop();
  proxy_->shut_down(mode);
}

bool Service::wait_until_stopped(std::chrono::milliseconds limit) {
  return proxy_->wait_until_stopped(limit);
}

proxy::MovingCountsByShard Service::moving_counts() {
  proxy::MovingCountsByShard sum;
  for (const proxy::WorkerReport& worker : proxy_->collect({}, kReportLimit).workers) {
    for (const auto& [shard, counts] : worker.moving) sum[shard] += counts;
  }
  return sum;
}

// What nodes are asked for is kept for a moment: consoles that are looked at again and again cost them
// nothing.
std::map<uint32_t, ShardSize> Service::shard_sizes() {
  const std::lock_guard lock(sizes_mutex_);
  if (std::chrono::steady_clock::now() - sizes_read_at_ < kSizesKept) return sizes_;
  const auto map = catalog();
  ShardNodes nodes;
  for (uint32_t shard = 0; shard < map->shard_count(); ++shard)
    nodes[shard] = map->node_name(map->node_of({shard}));
  sizes_ = read_shard_sizes(*config(), nodes, nullptr);
  sizes_read_at_ = std::chrono::steady_clock::now();
  return sizes_;
}

size_t Service::count_clients() {
  size_t count = 0;
  for (const proxy::WorkerReport& worker : proxy_->collect({.clients = true}, kCountLimit).workers)
    count += worker.clients.size();
  return count;
}

ConsoleBackend Service::console_backend() {
  ConsoleBackend backend;
  backend.config = [this] { return config(); };
  backend.catalog = [this] { return catalog(); };
  backend.catalog_status = [this] {
    const auto watching = watcher();
    return watching ? watching->status() : CatalogStatus{};
  };
  backend.report = [this](const proxy::ReportRequest& request) {
    return proxy_->collect(request, kReportLimit);
  };
  backend.locks = [this] { return read_locks(*config(), kLocksLimit); };
  backend.events = &events_;
  backend.reload = [this] { return reload(); };
  backend.change_node = [this](const NodeChange& change, const Say& say, const StopSignal& stop) {
    return change_node(change, say, stop);
  };
  backend.move = [this](const MoveCommand& command, const Say& say, const StopSignal& stop) {
    return moves_->run(command, say, stop);
  };
  backend.moves = [this](bool only_open) { return moves_->list(only_open); };
  backend.shard_sizes = [this] { return shard_sizes(); };
  backend.shut_down = [](proxy::ShutdownMode mode) { kill(getpid(), signal_of(mode)); };
  return backend;
}

}  // namespace mosaic::admin
