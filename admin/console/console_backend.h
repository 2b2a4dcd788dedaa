#pragma once
// What the console may ask of the process around it. Functions, so that views are tested without a process.
// Every one may be called from any console thread.

#include <functional>
#include <memory>

#include "admin/catalog/catalog_watcher.h"
#include "admin/catalog/shard_sizes.h"
#include "admin/config/config.h"
#include "admin/console/node_locks.h"
#include "admin/event_log.h"
#include "admin/move/move_command.h"
#include "admin/node_change.h"
#include "admin/stop_signal.h"
#include "proxy/proxy.h"
#include "routing/catalog_snapshot.h"

namespace mosaic::admin {

struct ConsoleBackend {
  std::function<std::shared_ptr<const Config>()> config;
  std::function<std::shared_ptr<const routing::CatalogSnapshot>()> catalog;
  std::function<CatalogStatus()> catalog_status;
  std::function<proxy::Report(const proxy::ReportRequest&)> report;
  std::function<routing::Status()> reload;
  std::function<std::vector<NodeLocks>()> locks;
  // Says what it does, takes as long as that takes; `stop` ends it.
  std::function<routing::Status(const NodeChange&, const Say&, const StopSignal& stop)> change_node;
  // Likewise.
  std::function<routing::Status(const MoveCommand&, const Say&, const StopSignal& stop)> move;
  std::function<routing::Result<std::vector<MoveRow>>(bool only_open)> moves;
  std::function<std::map<uint32_t, ShardSize>()> shard_sizes;  // by shard, of some seconds ago
  EventLog* events = nullptr;                                  // never null in a process
  std::function<void(proxy::ShutdownMode)> shut_down;
};

}  // namespace mosaic::admin
