#pragma once
// Which shards are to go where, so that a node is empty or all are alike. Pure.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "routing/ids.h"

namespace mosaic::admin {

struct PlannedShard {
  routing::ShardId shard;
  std::string node;      // where it is, or is on its way to
  uint64_t weight = 1;   // its bytes, its heat, or one as any other
  bool may_move = true;  // no: it is being moved already
};

struct PlannedMove {
  routing::ShardId shard;
  std::string source, target;
  uint64_t weight = 0;
};

// Sum of the weights, by node. `nodes`: those that may have shards.
using NodeWeights = std::map<std::string, uint64_t>;
NodeWeights weights_of(const std::vector<PlannedShard>& shards, const std::vector<std::string>& nodes);

// Every shard of `node`, the heaviest first, to whichever of the others is the lightest then.
// `others`: not empty.
std::vector<PlannedMove> plan_drain(const std::vector<PlannedShard>& shards, const std::string& node,
                                    const std::vector<std::string>& others);

// From the heaviest node to the lightest, until they differ by no more than `tolerance` (a share of a node's
// mean weight), or no shard would bring them closer. No shard twice.
std::vector<PlannedMove> plan_even(const std::vector<PlannedShard>& shards,
                                   const std::vector<std::string>& nodes, double tolerance);

}  // namespace mosaic::admin
