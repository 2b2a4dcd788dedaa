#pragma once
// How large shards are, as their nodes count it.

#include <cstdint>
#include <map>

#include "admin/config/config.h"
#include "admin/stop_signal.h"

namespace mosaic::admin {

struct ShardSize {
  uint64_t bytes = 0;  // tables with their indexes and TOAST (pg_total_relation_size)
  uint64_t rows = 0;   // as of the latest ANALYZE or VACUUM (pg_class.reltuples)
};

using ShardNodes = std::map<uint32_t, std::string>;  // by shard: the name of its node

// By shard. Asks every node at the same time, each for as long as `catalog.connect_timeout`; shards of a node
// that does not answer are not there. `stop` may be null.
std::map<uint32_t, ShardSize> read_shard_sizes(const Config& config, const ShardNodes& nodes,
                                               const StopSignal* stop);

}  // namespace mosaic::admin
