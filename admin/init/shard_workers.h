#pragma once
// Runs one script per shard, all nodes at once, several connections to each. Blocking; shows its progress.

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

constexpr std::chrono::milliseconds kConnectLimit{10'000};  // for init's connection to a node

struct ShardJob {
  routing::ShardId shard;
  std::function<std::string()> script;  // called on a worker's thread
};

class ShardWorkers {
 public:
  void add_node(std::string name, ConnectionTarget target, std::vector<ShardJob> jobs);
  // After the first error no new job begins; that error is returned, with its shard and node.
  routing::Status run(unsigned connections_per_node);

 private:
  struct Node {
    std::string name;
    ConnectionTarget target;
    std::vector<ShardJob> jobs;
  };
  std::vector<Node> nodes_;
};

}  // namespace mosaic::admin
