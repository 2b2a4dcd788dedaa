#include "admin/service.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <random>

#include "admin/catalog/catalog_source.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/config/config_loader.h"
#include "admin/config/config_reload.h"
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
constexpr std::chrono::milliseconds kLocksLimit{1000};  // for each node to log in to, and to answer
constexpr std::chrono::milliseconds kCountLimit{100};

ProxyIdentity identity_of_this_process(uint16_t port) {
  std::random_device random;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return {fmt::format("{:08x}{:08x}", random(), random()), host, static_cast<int>(getpid()), port,
          mosaic_version()};
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
  if (watcher_) watcher_->stop();
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
  for (const std::string& line : describe_one_sided_tables(found->state, *config_))
    spdlog::warn("catalog: {}", line);

  proxy_ = std::make_unique<proxy::Proxy>(
      config_->proxy, catalog_, [this](proxy::ConsoleClient client) { console_->serve(std::move(client)); },
      events_);
  console_ = std::make_unique<ConsoleServer>(console_backend());
  proxy_->schema_changes().set_on_change([this] { schema_changed_.raise(); });
  if (Status status = proxy_->start(); !status) return status;
  watcher_ = std::make_unique<CatalogWatcher>(
      *config_, identity_of_this_process(proxy_->listen_port()), std::move(found->state),
      std::move(definitions), schema_changed_, [this] { return proxy_->schema_changes().count(); },
      [this](std::shared_ptr<const routing::CatalogSnapshot> newer) {
        {
          const std::lock_guard lock(mutex_);
          catalog_ = newer;
        }
        proxy_->publish(std::move(newer));
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
  ConfigLoad load = load_config(running->path);
  if (!load.errors.is_empty())
    return Error{routing::sqlstate::kConfigError, "the configuration file has errors; nothing was changed",
                 load.errors.to_text(running->path), "correct the file and RELOAD again"};
  if (const auto fixed = fixed_differences(*running, load.config); !fixed.empty())
    return Error{routing::sqlstate::kConfigError,
                 "the configuration file changes what needs a restart; nothing was changed",
                 fmt::format("{}", fmt::join(fixed, "; ")),
                 "restart Mosaic, or take these changes out and RELOAD again"};
  if (Status status = proxy_->reload(load.config.proxy); !status) return status;
  events_.configure(load.config.log);
  const std::vector<std::string> changes = changed_keys(*running, load.config);
  auto taken = std::make_shared<const Config>(std::move(load.config));
  {
    const std::lock_guard lock(mutex_);
    config_ = std::move(taken);
  }
  events_.record(Event(Severity::kInfo, "reloaded")
                     .add("file", running->path)
                     .add("changes", changes.empty() ? "none" : fmt::format("{}", fmt::join(changes, "; "))));
  return {};
}

void Service::shut_down(proxy::ShutdownMode mode) {
  // The map may stay as it is for what little is left to route, and the catalog should know first.
  watcher_->stop();
  proxy_->shut_down(mode);
}

bool Service::wait_until_stopped(std::chrono::milliseconds limit) {
  return proxy_->wait_until_stopped(limit);
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
  backend.catalog_status = [this] { return watcher_ ? watcher_->status() : CatalogStatus{}; };
  backend.report = [this](const proxy::ReportRequest& request) {
    return proxy_->collect(request, kReportLimit);
  };
  backend.locks = [this] { return read_locks(*config(), kLocksLimit); };
  backend.events = &events_;
  backend.reload = [this] { return reload(); };
  backend.shut_down = [](proxy::ShutdownMode mode) { kill(getpid(), signal_of(mode)); };
  return backend;
}

}  // namespace mosaic::admin
