#pragma once
// Follows the shard map alone, shard by shard, over a connection of its own: what CatalogWatcher reads beside
// it takes its time, and a flip must not wait. Owns one thread. A catalog that is down changes nothing, and
// what was missed meanwhile is read when it is back.

#include <chrono>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "admin/stop_signal.h"
#include "routing/catalog_snapshot.h"

namespace mosaic::admin {

class MapFollower {
 public:
  using OnChange = std::function<void(const std::vector<routing::ShardPlaceChange>&)>;  // on its thread

  MapFollower(const Config& config, OnChange on_change);
  ~MapFollower();
  MapFollower(const MapFollower&) = delete;
  MapFollower& operator=(const MapFollower&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  routing::Status follow(Connection& connection);
  routing::Status read_map(Connection& connection);
  // "shard epoch held_ms node"; held_ms: 0: it is not held, below: it was, and nobody has released it.
  void take(std::string_view payload);
  void end_holds();
  std::optional<routing::ShardPlaceChange> change_of(int64_t shard, int64_t epoch, int64_t held_ms,
                                                     const std::string& node);

  const Config config_;
  const OnChange on_change_;
  StopSignal stop_;
  // A hold ends by itself: whoever should end it may have died.
  struct Hold {
    Clock::time_point until;
    routing::ShardPlace place;
  };
  std::map<uint32_t, Hold> holds_;
  std::thread thread_;
};

}  // namespace mosaic::admin
