#pragma once
// Identities used by every folder. Ids are types, not ints: a shard can not be passed for a node.

#include <compare>
#include <cstdint>

namespace mosaic::routing {

// A logical shard, 0 .. shard_count-1. On PostgreSQL it is one schema, e.g. `shard_0042`.
struct ShardId {
  uint32_t value = 0;
  auto operator<=>(const ShardId&) const = default;
};

// A physical PostgreSQL node: its position in CatalogSnapshot::nodes().
struct NodeId {
  uint16_t value = 0;
  auto operator<=>(const NodeId&) const = default;
};

// Version of the shard map; grows by one with every change in the catalog. 0: no map yet.
struct Epoch {
  uint64_t value = 0;
  auto operator<=>(const Epoch&) const = default;
};

}  // namespace mosaic::routing
