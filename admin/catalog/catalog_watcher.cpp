#include "admin/catalog/catalog_watcher.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "admin/catalog/snapshot_builder.h"

namespace mosaic::admin {

namespace {

using Clock = std::chrono::steady_clock;
using routing::Status;
using std::chrono::milliseconds;

constexpr milliseconds kRetryMin{250}, kRetryMax{15'000};
constexpr milliseconds kLeaveLimit{500};

}  // namespace

CatalogWatcher::CatalogWatcher(const Config& config, ProxyIdentity identity, CatalogKnowledge known,
                               StopSignal& schema_changed, std::function<uint64_t()> schema_changes,
                               std::function<ProxyLoad()> load, Publish publish)
    : config_(config),
      identity_(std::move(identity)),
      publish_(std::move(publish)),
      map_file_(config.state_dir),
      schema_changed_(schema_changed),
      schema_changes_(std::move(schema_changes)),
      load_(std::move(load)),
      known_(std::move(known.state)),
      definitions_(std::move(known.definitions)),
      reader_(config_, &stop_),
      status_(std::move(known.status)),
      thread_([this] { run(); }) {}

CatalogWatcher::~CatalogWatcher() { stop(); }

void CatalogWatcher::stop() {
  stop_.raise();
  if (thread_.joinable()) thread_.join();
}

CatalogKnowledge CatalogWatcher::hand_over() {
  is_leaving_ = false;
  stop();
  return {known_, definitions_, status()};
}

CatalogStatus CatalogWatcher::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void CatalogWatcher::run() {
  std::minstd_rand random(std::random_device{}());
  milliseconds retry = kRetryMin;
  while (!stop_.is_raised()) {
    auto store = CatalogStore::open(config_, &stop_);
    Status status = store ? follow(*store) : Status(store.error());
    if (stop_.is_raised()) break;
    if (status) continue;  // only a stop ends it well
    retry = this->status().is_connected ? kRetryMin : std::min(retry * 2, kRetryMax);
    note_lost(status.error());
    // Spread, so that a hundred proxies do not come back to a restarted catalog in one instant.
    const auto spread = std::uniform_int_distribution<int>(0, static_cast<int>(retry.count() / 2))(random);
    stop_.wait_ms(static_cast<int>(retry.count()) + spread);
  }
  if (is_leaving_ && status().is_connected) leave();
}

Status CatalogWatcher::follow(CatalogStore& store) {
  if (Status status = store.listen(); !status) return status;
  auto next_poll = Clock::now();
  auto next_beat = Clock::now();
  while (!stop_.is_raised()) {
    if (schema_changed_.is_raised()) {
      schema_changed_.reset();
      // Other proxies learn of it as well; this one by the way.
      if (Status status = store.announce_definitions(); !status) return status;
      next_poll = Clock::now();
    }
    if (Clock::now() >= next_poll) {
      // Before anything is read: what changes meanwhile counts as not seen.
      const uint64_t as_of = schema_changes_();
      if (Status status = store.refresh_columns(); !status) return status;
      auto state = store.load();
      if (!state) return state.error();
      note_connected();
      Definitions definitions = read_definitions(*state, as_of);
      take(std::move(*state), std::move(definitions));
      next_poll = Clock::now() + milliseconds(config_.catalog.poll_interval_ms);
    }
    if (Clock::now() >= next_beat) {
      if (Status status = store.beat(identity_, load_()); !status) return status;
      auto proxies = store.proxies();
      if (!proxies) return proxies.error();
      next_beat = Clock::now() + milliseconds(config_.catalog.heartbeat_interval_ms);
      const std::lock_guard lock(mutex_);
      status_.proxies = std::move(*proxies);
    }
    const auto pause = std::chrono::ceil<milliseconds>(std::min(next_poll, next_beat) - Clock::now());
    auto is_notified =
        store.connection().wait_for_notification(std::max(pause, milliseconds(0)), &schema_changed_);
    if (!is_notified) return is_notified.error();
    if (*is_notified) next_poll = Clock::now();
  }
  return {};
}

// What was known stays in use when a node is down: its statements fail anyway, and a change of definitions
// since then is told by the count.
Definitions CatalogWatcher::read_definitions(const CatalogState& state, uint64_t as_of) {
  auto read = reader_.read(state);
  if (!read) {
    const std::string why = read.error().to_line();
    if (why != unreadable_ && !stop_.is_raised()) spdlog::warn("catalog: {}", why);
    unreadable_ = why;
    return definitions_;
  }
  unreadable_.clear();
  read->as_of = as_of;
  return std::move(*read);
}

void CatalogWatcher::take(CatalogState state, Definitions definitions) {
  const bool has_new_definitions =
      !definitions.is_same(definitions_) || definitions.as_of != definitions_.as_of;
  if (state == known_ && has_written_map_ && !has_new_definitions) return;
  if (!known_.cluster_id.empty() && state.cluster_id != known_.cluster_id)
    return refuse("the catalog is now that of another cluster (" + state.cluster_id + ")");
  if (state.epoch < known_.epoch)
    return refuse(
        fmt::format("the catalog's map went back from epoch {} to {}: was it restored from a backup?",
                    known_.epoch, state.epoch));
  auto snapshot = build_snapshot(state, config_, definitions);
  if (!snapshot) return refuse(snapshot.error().to_line());
  if (state.epoch != known_.epoch) spdlog::info("catalog: shard map of epoch {} taken", state.epoch);
  if (state.nodes != known_.nodes)
    spdlog::info("catalog: nodes in use are now {}", fmt::join(state.nodes, ", "));
  if (state != known_ || has_new_definitions) publish_(std::move(*snapshot));
  definitions_ = std::move(definitions);
  refused_.clear();
  known_ = std::move(state);
  const Status written = map_file_.write({known_, std::chrono::system_clock::now()});
  // Tried again with the next poll: a full disk may get room.
  has_written_map_ = static_cast<bool>(written);
  if (!written) refuse(written.error().to_line());
}

void CatalogWatcher::refuse(const std::string& why) {
  if (why != refused_) spdlog::error("catalog: {}; the map of epoch {} stays in use", why, known_.epoch);
  refused_ = why;
  const std::lock_guard lock(mutex_);
  status_.last_error = why;
}

void CatalogWatcher::note_lost(const routing::Error& error) {
  const std::lock_guard lock(mutex_);
  if (status_.is_connected || status_.last_error.empty())
    spdlog::warn("catalog: {}; routing goes on with the map of epoch {}", error.to_line(), known_.epoch);
  status_.is_connected = false;
  status_.last_error = error.to_line();
}

void CatalogWatcher::note_connected() {
  const std::lock_guard lock(mutex_);
  if (!status_.is_connected) spdlog::info("catalog: watching it on node {}", config_.catalog.node);
  status_.is_connected = true;
  status_.last_error = refused_;
}

void CatalogWatcher::leave() {
  // The stop signal ends every wait of the old connection, so a new one says goodbye, briefly.
  auto connection = Connection::open(catalog_target(config_), {.connect = kLeaveLimit, .query = kLeaveLimit});
  if (!connection) return;  // the row goes stale by itself
  if (Status status = CatalogStore(std::move(*connection), config_).leave(identity_); !status)
    spdlog::debug("catalog: {}", status.error().to_line());
}

}  // namespace mosaic::admin
