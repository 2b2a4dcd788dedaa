#pragma once
// Server connections on their way from one worker to another: in no pool, but still connections. Thread-safe.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "routing/ids.h"

namespace mosaic::pool {

struct HandedOver {
  uint64_t id = 0;
  routing::NodeId node;
  std::string user;
  uint32_t remote_pid = 0;
  uint64_t connected_ms = 0;  // of the loops' clock
  uint16_t local_port = 0;
  uint32_t prepared_statements = 0;
  uint32_t to_worker = 0;
};

class HandOvers {
 public:
  void add(HandedOver connection) {
    const std::lock_guard lock(mutex_);
    const uint64_t id = connection.id;
    under_way_[id] = std::move(connection);
  }
  void remove(uint64_t id) {
    const std::lock_guard lock(mutex_);
    under_way_.erase(id);
  }
  std::vector<HandedOver> list() const {
    std::vector<HandedOver> list;
    const std::lock_guard lock(mutex_);
    for (const auto& [id, connection] : under_way_) list.push_back(connection);
    return list;
  }

 private:
  mutable std::mutex mutex_;
  std::map<uint64_t, HandedOver> under_way_;  // guarded by mutex_
};

}  // namespace mosaic::pool
