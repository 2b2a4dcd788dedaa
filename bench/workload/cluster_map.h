#pragma once
// Where the verifier must look for rows: nodes, shards and their schemas, as the catalog says. Read from the
// catalog's own tables, beside the proxy: what is verified is not asked.

#include <cstdint>
#include <string>
#include <vector>

#include "routing/catalog_snapshot.h"

namespace mosaic::workload {

struct ClusterNode {
  std::string name;
  std::string conninfo;  // direct, as superuser
};

struct ClusterMap {
  std::vector<ClusterNode> nodes;
  std::vector<size_t> shard_nodes;  // shard -> index into nodes
  std::string schema_prefix = "shard_";
  routing::ShardFunction function = routing::ShardFunction::kXxh3;
  routing::IdLayout id_layout;

  uint32_t shard_count() const { return static_cast<uint32_t>(shard_nodes.size()); }
  std::string schema_of(uint32_t shard) const;
  uint32_t shard_of_user(int64_t user_id) const;
  // The shard that an ID from next_id() carries; shard_count() when it carries none.
  uint32_t shard_of_id(int64_t id) const;
};

// Parses "name=conninfo". Throws std::runtime_error.
ClusterNode parse_node(const std::string& text);
// The map of the catalog at `conninfo`, over `nodes`, which must name every node that the catalog does.
// Throws std::runtime_error.
ClusterMap read_cluster_map(const std::string& conninfo, std::vector<ClusterNode> nodes);

}  // namespace mosaic::workload
