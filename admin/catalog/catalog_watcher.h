#pragma once
// Keeps a running proxy's shard map fresh: listens to the catalog, polls as a fallback, sends heartbeats, keeps the
// map file. Owns one thread, which publishes snapshots and never talks to clients. A catalog that is down changes
// nothing: the last map stays in use, and the log says so once.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "admin/catalog/catalog_state.h"
#include "admin/catalog/catalog_store.h"
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

class CatalogWatcher {
 public:
  using Publish = std::function<void(std::shared_ptr<const routing::CatalogSnapshot>)>;  // on the watcher's thread

  // `known`: the state that the process started with.
  CatalogWatcher(const Config& config, ProxyIdentity identity, CatalogState known, Publish publish);
  ~CatalogWatcher();  // stops
  CatalogWatcher(const CatalogWatcher&) = delete;
  CatalogWatcher& operator=(const CatalogWatcher&) = delete;

  // Waits for the thread, whose every wait ends at once; tells the catalog that this proxy leaves.
  void stop();
  CatalogStatus status() const;

 private:
  void run();
  routing::Status follow(CatalogStore& store);
  void take(CatalogState state);
  void refuse(const std::string& why);
  void note_lost(const routing::Error& error);
  void note_connected();
  void leave();

  const Config config_;
  const ProxyIdentity identity_;
  const Publish publish_;
  const MapFile map_file_;
  StopSignal stop_;
  // The thread's own.
  CatalogState known_;
  bool has_written_map_ = false;
  std::string refused_;  // the last reason, so that each is logged once

  mutable std::mutex mutex_;
  CatalogStatus status_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace mosaic::admin
