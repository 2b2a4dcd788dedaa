#pragma once
// Who waits for whose locks on the nodes, asked of each node itself: all at the same time, each within a
// limit, so that one that does not answer holds nobody up.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "routing/result.h"

namespace mosaic::admin {

// A server process that waits for a lock, or that another one waits for.
struct LockedProcess {
  int pid = 0;                                // 0: a prepared transaction
  std::vector<int> blockers;                  // what it waits for; empty: it does not
  std::string user, application_name, state;  // as in pg_stat_activity
  uint64_t wait_us = 0, transaction_us = 0;
  std::string lock;       // what it waits for: "relation AccessExclusiveLock shard_0003.media"
  std::string statement;  // literals as ?
};

struct NodeLocks {
  std::string node;
  std::optional<routing::Error> error;  // it could not be asked
  std::vector<LockedProcess> processes;
};

// In the order of the configuration.
std::vector<NodeLocks> read_locks(const Config& config, std::chrono::milliseconds limit);

// One line of the tree: who blocks, and below it who waits for it. A process that waits for several stands
// under each; of those that wait for each other in a circle one stands at the top.
struct BlockingLine {
  size_t process = 0;  // of NodeLocks::processes
  size_t depth = 0;
};
std::vector<BlockingLine> blocking_tree(const std::vector<LockedProcess>& processes);

}  // namespace mosaic::admin
