#pragma once
// What the console's sessions share: the process behind it, and what it remembers of it over time.

#include "admin/console/console_backend.h"
#include "admin/console/console_clients.h"
#include "admin/console/shard_heat.h"
#include "admin/console/traffic_averages.h"

namespace mosaic::admin {

struct ConsoleState {
  explicit ConsoleState(ConsoleBackend behind)
      : backend(std::move(behind)), averages(TrafficAverages::Clock::now()) {}

  const ConsoleBackend backend;
  TrafficAverages averages;
  ShardHeat heat;
  ConsoleClients clients;
};

}  // namespace mosaic::admin
