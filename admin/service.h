#pragma once
// A running Mosaic put together: the data plane, the catalog's watcher, the console. Knows how to reload and
// how to stop; signals and the command line are the run command's.

#include <chrono>
#include <memory>
#include <mutex>

#include "admin/catalog/catalog_watcher.h"
#include "admin/catalog/map_follower.h"
#include "admin/config/config.h"
#include "admin/console/console_server.h"
#include "admin/event_log.h"
#include "admin/move/move_service.h"
#include "admin/node_change.h"
#include "admin/stop_signal.h"
#include "proxy/proxy.h"
#include "routing/result.h"

namespace mosaic::admin {

class Service {
 public:
  // `events` outlives it.
  Service(Config config, EventLog& events);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Finds the shard map (catalog, else disk) and starts everything.
  routing::Status start();
  // Reads the configuration file again. Any thread. A bad file changes nothing; the error says why. Either
  // way the log has it.
  routing::Status reload();
  // ADD NODE, REMOVE NODE; blocks until this process has taken the change.
  routing::Status change_node(const NodeChange& change, const Say& say, const StopSignal& stop);
  void shut_down(proxy::ShutdownMode mode);
  bool wait_until_stopped(std::chrono::milliseconds limit);
  // Of the application, connected now; those of a worker that does not answer are left out.
  size_t count_clients();

  std::shared_ptr<const Config> config() const;

 private:
  routing::Status take_file();
  routing::Status take(Config config, const CatalogKnowledge& known);
  routing::Status add_node(const NodeChange& change, const Say& say, const StopSignal& stop);
  routing::Status remove_node(const NodeChange& change, const Say& say, const StopSignal& stop);
  routing::Status wait_for_use(const std::string& node, bool is_in_use, const StopSignal& stop) const;
  void watch(CatalogKnowledge known);
  // Gives the data plane what is known of tables and nodes anew, or of some shards' places; what is newer of
  // the other stays.
  void publish(const routing::CatalogSnapshot& built);
  void publish_places(const std::vector<routing::ShardPlaceChange>& changes);
  std::shared_ptr<CatalogWatcher> watcher() const;
  ConsoleBackend console_backend();
  std::shared_ptr<const routing::CatalogSnapshot> catalog() const;
  proxy::MovingCountsByShard moving_counts();
  std::map<uint32_t, ShardSize> shard_sizes();

  EventLog& events_;
  mutable std::mutex mutex_;  // guards config_, catalog_ and watcher_
  std::shared_ptr<const Config> config_;
  std::shared_ptr<const routing::CatalogSnapshot> catalog_;
  std::mutex reload_mutex_;   // one reload at a time, and none once it stops
  bool is_stopping_ = false;  // guarded by reload_mutex_
  ProxyIdentity identity_;
  StopSignal schema_changed_;  // raised by workers, for the watcher
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<ConsoleServer> console_;
  std::shared_ptr<CatalogWatcher> watcher_;
  std::unique_ptr<MapFollower> follower_;  // made anew with each configuration
  std::unique_ptr<MoveService> moves_;
  std::mutex sizes_mutex_;  // guards what follows
  std::map<uint32_t, ShardSize> sizes_;
  std::chrono::steady_clock::time_point sizes_read_at_{};
};

}  // namespace mosaic::admin
