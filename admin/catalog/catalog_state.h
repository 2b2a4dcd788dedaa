#pragma once
// All that the catalog says, as a value: what CatalogStore reads, what the map file keeps, what a snapshot is
// built from. Nodes by name: a NodeId is one process's own numbering.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "routing/catalog_snapshot.h"

namespace mosaic::admin {

struct CatalogColumn {
  std::string name;
  uint32_t type_oid = 0;
  int32_t modifier = -1;  // pg_attribute.atttypmod: of a varchar(n) or char(n), n + 4
  bool operator==(const CatalogColumn&) const = default;
};
using Columns = std::vector<CatalogColumn>;  // in attribute order

struct CatalogTable {
  std::string name;
  routing::TableKind kind = routing::TableKind::kSharded;
  std::string key;
  std::string id;
  std::string node;                                     // pinned
  routing::KeyType key_type = routing::KeyType::kInt8;  // sharded
  Columns columns;
  bool operator==(const CatalogTable&) const = default;
};

// What `mosaic init` fixed for good, so that config and catalog must agree on it.
struct ClusterLayout {
  uint32_t shard_count = 0;
  std::string shard_function;  // as in the config: "xxh3", "modulo"
  std::string schema_prefix;
  uint32_t id_shard_bits = 0;
  uint32_t id_sequence_bits = 0;
  int64_t id_epoch_ms = 0;
  std::string default_node;
  bool operator==(const ClusterLayout&) const = default;
};

struct CatalogState {
  std::string cluster_id;  // uuid made by init
  ClusterLayout layout;
  uint64_t epoch = 0;
  bool is_complete = false;              // init has finished
  std::vector<std::string> shard_nodes;  // by shard
  std::vector<uint64_t> shard_epochs;    // by shard: that of its last change
  std::vector<std::string> nodes;        // in use: prepared by init and not removed since; sorted
  std::vector<CatalogTable> tables;      // by name
  bool operator==(const CatalogState&) const = default;
};

// Where the catalog's rows and the layout say that something is: all that a catalog says of nodes which is
// older than its table of nodes.
std::vector<std::string> nodes_with_data(const CatalogState& state);

// What of that is on the node: "21 shards, table plans"; empty: nothing.
std::string describe_data(const CatalogState& state, const std::string& node);

// Names as the catalog, the map file and SHOW TABLES spell them.
std::string_view to_text(routing::TableKind kind);
std::string_view to_text(routing::KeyType type);
std::string_view to_text(routing::ShardFunction function);
// Each returns false for a word that it does not know.
bool parse_table_kind(std::string_view text, routing::TableKind& kind);
bool parse_key_type(std::string_view text, routing::KeyType& type);

}  // namespace mosaic::admin
