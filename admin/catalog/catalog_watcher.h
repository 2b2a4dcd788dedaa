#pragma once
// Keeps a running proxy's shard map and what it knows of definitions fresh: listens to the catalog, polls as
// a fallback, looks up when a client has changed a schema, sends heartbeats, keeps the map file. Owns one
// thread, which publishes snapshots and never talks to clients. A catalog that is down changes nothing: the
// last map stays in use, and the log says so once.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "admin/catalog/catalog_state.h"
#include "admin/catalog/catalog_store.h"
#include "admin/catalog/definitions.h"
#include "admin/catalog/map_file.h"
#include "admin/config/config.h"
#include "admin/stop_signal.h"
#include "routing/catalog_snapshot.h"

namespace mosaic::admin {

// How the watcher fares, for the console.
struct CatalogStatus {
  bool is_connected = false;
  std::string last_error;         // empty: none since the last success
  std::vector<ProxyRow> proxies;  // as of the last heartbeat
};

// What one watcher leaves to the next.
struct CatalogKnowledge {
  CatalogState state;
  Definitions definitions;
  CatalogStatus status;
};

class CatalogWatcher {
 public:
  using Publish =
      std::function<void(std::shared_ptr<const routing::CatalogSnapshot>)>;  // on the watcher's thread

  // `known`: what the process started with, or a watcher before it knew. `schema_changed` is raised when the
  // count that `schema_changes` gives has grown; it must outlive the watcher, who takes it down.
  CatalogWatcher(const Config& config, ProxyIdentity identity, CatalogKnowledge known,
                 StopSignal& schema_changed, std::function<uint64_t()> schema_changes,
                 std::function<ProxyLoad()> load, Publish publish);
  ~CatalogWatcher();  // stops
  CatalogWatcher(const CatalogWatcher&) = delete;
  CatalogWatcher& operator=(const CatalogWatcher&) = delete;

  // Waits for the thread, whose every wait ends at once; tells the catalog that this proxy leaves.
  void stop();
  // The same without that: another watcher goes on, with another configuration.
  CatalogKnowledge hand_over();
  CatalogStatus status() const;

 private:
  void run();
  routing::Status follow(CatalogStore& store);
  Definitions read_definitions(const CatalogState& state, uint64_t as_of);
  void take(CatalogState state, Definitions definitions);
  void refuse(const std::string& why);
  void note_lost(const routing::Error& error);
  void note_connected();
  void leave();

  const Config config_;
  const ProxyIdentity identity_;
  const Publish publish_;
  const MapFile map_file_;
  StopSignal& schema_changed_;
  const std::function<uint64_t()> schema_changes_;
  const std::function<ProxyLoad()> load_;
  StopSignal stop_;
  std::atomic<bool> is_leaving_{true};
  // The thread's own.
  CatalogState known_;
  Definitions definitions_;
  DefinitionReader reader_;
  std::string unreadable_;  // the last reason, so that each is logged once
  bool has_written_map_ = false;
  std::string refused_;  // the last reason, so that each is logged once

  mutable std::mutex mutex_;
  CatalogStatus status_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace mosaic::admin
