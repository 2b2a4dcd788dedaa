#pragma once
// The immutable picture of the cluster that one transaction routes by: tables and their shard keys,
// shard -> node, names of nodes. Built by admin (from config and catalog), read by everyone, changed by
// nobody: a new map is a new snapshot.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "routing/id_layout.h"
#include "routing/ids.h"
#include "routing/shard_function.h"

namespace mosaic::routing {

enum class TableKind : uint8_t {
  kSharded,    // rows live in the schema of their key's shard
  kReference,  // the same rows on every node, schema public
  kPinned,     // the whole table on one node, schema public
};

class FunctionClasses;  // routing/postgres/function_classes.h

struct Column {
  std::string name;
  uint32_t type_oid = 0;  // pg_type.oid of the column's type
};

struct Table {
  std::string name;  // unqualified, as in pg_class.relname
  TableKind kind = TableKind::kSharded;
  std::string key;  // sharded: the column that holds the shard key
  std::string id;   // sharded: the column whose value embeds the shard (empty: none)
  KeyType key_type = KeyType::kInt8;
  uint32_t key_length_max =
      0;        // the key is a varchar(n): n, in characters; 0: no limit, or padded to it (char(n))
  NodeId node;  // pinned: where it lives
  std::vector<Column> columns;  // in attribute order; empty while unknown (table not created yet)
  // Other schemas of the default node that have a relation of this name, sorted; usually none. Where one
  // stands before `public` in the search_path, the name without a schema is that relation's.
  std::vector<std::string> other_schemas;

  bool is_shadowed() const { return !other_schemas.empty(); }

  // Position of a column in `columns`, -1 when unknown.
  int find_column(std::string_view column) const;
};

// Where a shard is, as of the epoch in which that changed last.
struct ShardPlace {
  NodeId node;
  Epoch epoch;
  bool is_held = false;      // it is about to go: new transactions that may write to it wait
  bool is_in_doubt = false;  // it was held, and nobody has said what came of it: it may be refused anywhere
  bool operator==(const ShardPlace&) const = default;
};

struct ShardPlaceChange {
  ShardId shard;
  ShardPlace place;
};

class CatalogSnapshot {
 public:
  struct Parts {
    Epoch epoch;
    std::vector<std::string> node_names;   // indexed by NodeId
    std::vector<bool> nodes_in_use;        // likewise; those that it does not reach are
    NodeId default_node;                   // unlisted tables and catalog queries
    std::vector<ShardPlace> places;        // indexed by ShardId
    std::string schema_prefix = "shard_";  // schema of shard 42 of 1024: prefix + "0042"
    ShardFunction shard_function = ShardFunction::kXxh3;
    IdLayout id_layout;
    std::vector<Table> tables;
    // What functions, triggers and views may leave behind; none: not read yet, and all but PostgreSQL's own
    // may.
    std::shared_ptr<const FunctionClasses> functions;
    uint64_t definitions_as_of = 0;  // count of schema changes through this process when they were read
    // The search_path that a role has without a SET of its own; "" holds that of all others. Kept only while
    // a table is shadowed.
    std::map<std::string, std::string, std::less<>> search_paths;
  };

  explicit CatalogSnapshot(Parts parts);
  // The same but for these; what is older than what is known changes nothing. Tables are shared, so that this
  // costs no more than the map.
  std::shared_ptr<const CatalogSnapshot> with_places(const std::vector<ShardPlaceChange>& changes) const;

  Epoch epoch() const { return epoch_; }
  uint32_t shard_count() const { return static_cast<uint32_t>(places_.size()); }
  const std::vector<std::string>& node_names() const { return parts().node_names; }
  uint16_t node_count() const { return static_cast<uint16_t>(parts().node_names.size()); }
  // False: the node has been removed, or lacks what `mosaic init` gives a node. Nothing goes there.
  bool is_in_use(NodeId node) const {
    return node.value >= parts().nodes_in_use.size() || parts().nodes_in_use[node.value];
  }
  uint32_t count_nodes_in_use() const;
  // The first that is in use, of `from` and those behind it.
  std::optional<NodeId> next_node_in_use(NodeId from) const;
  const std::string& node_name(NodeId node) const { return parts().node_names[node.value]; }
  NodeId default_node() const { return parts().default_node; }
  NodeId node_of(ShardId shard) const { return places_[shard.value].node; }
  const std::vector<ShardPlace>& places() const { return places_; }
  const ShardPlace& place_of(ShardId shard) const { return places_[shard.value]; }
  // Some shard that lives on `node` (the lowest), for describing statements there.
  std::optional<ShardId> first_shard_on(NodeId node) const;
  // "shard_0042"; the view lives as long as the snapshot.
  std::string_view schema_of(ShardId shard) const { return fixed_->schemas[shard.value]; }
  const std::vector<Table>& tables() const { return parts().tables; }
  // Index into tables(), -1 for tables that the config does not list (they live on the default node).
  int find_table(std::string_view name) const;
  // Fingerprint of all that compiled plans depend on (tables, keys, columns, classes of functions); equal
  // fingerprints mean that cached plans stay valid. The shard map is not part of it: plans hold no shard and
  // no node.
  uint64_t tables_fingerprint() const { return fixed_->tables_fingerprint; }
  // Never null: without a table of its own that of a server that has not been read.
  const FunctionClasses& functions() const { return *parts().functions; }
  // What functions() says holds while the process has counted no further schema change
  // (proxy::SchemaChanges).
  uint64_t definitions_as_of() const { return parts().definitions_as_of; }
  // Some listed table has a namesake in another schema: then a session's search_path decides what names mean.
  bool has_shadowed_tables() const { return fixed_->has_shadowed_tables; }
  // What search_path is for `role` while the client has not set it.
  std::string_view search_path_of(std::string_view role) const;
  const IdLayout& id_layout() const { return parts().id_layout; }
  ShardFunction shard_function() const { return parts().shard_function; }
  const std::string& schema_prefix() const { return parts().schema_prefix; }

 private:
  // All but the map.
  struct Fixed {
    Parts parts;
    std::vector<std::string> schemas;
    std::unordered_map<std::string_view, int> table_index;
    uint64_t tables_fingerprint = 0;
    bool has_shadowed_tables = false;
  };
  CatalogSnapshot(std::shared_ptr<const Fixed> fixed, Epoch epoch, std::vector<ShardPlace> places)
      : fixed_(std::move(fixed)), epoch_(epoch), places_(std::move(places)) {}
  const Parts& parts() const { return fixed_->parts; }

  std::shared_ptr<const Fixed> fixed_;
  Epoch epoch_;
  std::vector<ShardPlace> places_;
};

// "shard_0042": digits are padded to the width of the highest shard number, at least four.
std::string shard_schema_name(std::string_view prefix, ShardId shard, uint32_t shard_count);

}  // namespace mosaic::routing
