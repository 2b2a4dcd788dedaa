#include "admin/catalog/snapshot_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::CatalogSnapshot;
using routing::Error;
using routing::NodeId;
using routing::Result;

std::string describe(const CatalogTable& table) {
  switch (table.kind) {
    case routing::TableKind::kSharded:
      return fmt::format("key = \"{}\"{}", table.key,
                         table.id.empty() ? "" : fmt::format(", id = \"{}\"", table.id));
    case routing::TableKind::kReference:
      return "reference = true";
    case routing::TableKind::kPinned:
      return fmt::format("node = \"{}\"", table.node);
  }
  return "";
}

const CatalogTable* find_table(const std::vector<CatalogTable>& tables, const std::string& name) {
  const auto at = std::find_if(tables.begin(), tables.end(),
                               [&](const CatalogTable& table) { return table.name == name; });
  return at == tables.end() ? nullptr : &*at;
}

std::optional<NodeId> find_node(const Config& config, const std::string& name) {
  const NodeConfig* node = config.find_node(name);
  return node == nullptr ? std::nullopt : std::optional(node->id);
}

// The nodes that have something and that the configuration does not list, one line each.
std::vector<std::string> describe_unlisted_nodes(const CatalogState& state, const Config& config) {
  std::vector<std::string> lines;
  for (const std::string& node : nodes_with_data(state)) {
    if (config.find_node(node) != nullptr) continue;
    lines.push_back(fmt::format("node \"{}\" has {}", node, describe_data(state, node)));
  }
  return lines;
}

template <typename Value>
void compare(std::vector<std::string>& found, const char* key, const Value& catalog, const Value& config) {
  if (catalog != config)
    found.push_back(fmt::format("{}: the catalog says {}, the config {}", key, catalog, config));
}

// Tables that both know.
void compare_tables(std::vector<std::string>& found, const CatalogState& state, const Config& config) {
  for (const CatalogTable& table : declared_tables(config)) {
    const CatalogTable* stored = find_table(state.tables, table.name);
    if (stored != nullptr && describe(*stored) != describe(table))
      found.push_back(fmt::format("tables.{}: the catalog says {}, the config {}", table.name,
                                  describe(*stored), describe(table)));
  }
}

// The catalog stores one kind for all texts, as init learnt it; how the column compares and cuts them is the
// column's.
void set_key_type(const CatalogColumn& column, routing::Table& table) {
  constexpr uint32_t kBpcharOid = 1042, kVarcharOid = 1043;  // pg_type.dat
  constexpr int32_t kHeaderBytes = 4;                        // VARHDRSZ, which atttypmod includes
  if (table.key_type != routing::KeyType::kText) return;
  if (column.type_oid == kBpcharOid) table.key_type = routing::KeyType::kPaddedText;
  if (column.type_oid == kVarcharOid && column.modifier > kHeaderBytes)
    table.key_length_max = static_cast<uint32_t>(column.modifier - kHeaderBytes);
}

}  // namespace

ClusterLayout layout_of(const Config& config) {
  const routing::IdLayout& id = config.shards.id_layout;
  return {config.shards.count,
          std::string(to_text(config.shards.function)),
          config.shards.schema_prefix,
          id.shard_bits,
          id.sequence_bits,
          id.epoch_ms,
          config.default_node};
}

std::vector<CatalogTable> declared_tables(const Config& config) {
  std::vector<CatalogTable> tables;
  for (const TableConfig& table : config.tables) {
    CatalogTable declared;
    declared.name = table.name;
    declared.key = table.key;
    declared.id = table.id;
    declared.node = table.node;
    declared.kind = !table.key.empty()   ? routing::TableKind::kSharded
                    : table.is_reference ? routing::TableKind::kReference
                                         : routing::TableKind::kPinned;
    tables.push_back(std::move(declared));
  }
  return tables;
}

std::vector<std::string> differences(const CatalogState& state, const Config& config) {
  std::vector<std::string> found;
  const ClusterLayout declared = layout_of(config);
  const ClusterLayout& stored = state.layout;
  compare(found, "shards.count", stored.shard_count, declared.shard_count);
  compare(found, "shards.function", stored.shard_function, declared.shard_function);
  compare(found, "shards.schema_prefix", stored.schema_prefix, declared.schema_prefix);
  compare(found, "shards.id_shard_bits", stored.id_shard_bits, declared.id_shard_bits);
  compare(found, "shards.id_sequence_bits", stored.id_sequence_bits, declared.id_sequence_bits);
  compare(found, "shards.id_epoch_ms", stored.id_epoch_ms, declared.id_epoch_ms);
  compare(found, "database.default_node", stored.default_node, declared.default_node);
  compare_tables(found, state, config);
  return found;
}

std::vector<std::string> unmade_tables(const CatalogState& state, const Config& config) {
  std::vector<std::string> names;
  for (const TableConfig& table : config.tables) {
    if (find_table(state.tables, table.name) == nullptr) names.push_back(table.name);
  }
  return names;
}

std::vector<std::string> unlisted_tables(const CatalogState& state, const Config& config) {
  const std::vector<CatalogTable> declared = declared_tables(config);
  std::vector<std::string> names;
  for (const CatalogTable& table : state.tables) {
    if (find_table(declared, table.name) == nullptr) names.push_back(table.name);
  }
  return names;
}

bool is_in_use(const CatalogState& state, const std::string& node) {
  return std::find(state.nodes.begin(), state.nodes.end(), node) != state.nodes.end();
}

std::vector<std::string> describe_unused_nodes(const CatalogState& state, const Config& config) {
  std::vector<std::string> lines;
  for (const NodeConfig& node : config.nodes) {
    if (is_in_use(state, node.address.name)) continue;
    lines.push_back(
        fmt::format("nodes.{0}: not in use: it is not prepared, or has been removed; ADD NODE {0} on the "
                    "console or `mosaic init` prepares it",
                    node.address.name));
  }
  return lines;
}

std::vector<std::string> describe_one_sided_tables(const CatalogState& state, const Config& config) {
  std::vector<std::string> lines;
  for (const std::string& table : unmade_tables(state, config))
    lines.push_back(
        fmt::format("tables.{}: not made yet, so that its name means what the default node has; run "
                    "`mosaic init` with a schema file that creates it",
                    table));
  for (const std::string& table : unlisted_tables(state, config)) {
    const CatalogTable* stored = find_table(state.tables, table);
    lines.push_back(
        fmt::format("tables.{}: the catalog has it ({}), and it is routed so; add it to the configuration",
                    table, describe(*stored)));
  }
  return lines;
}

Result<std::shared_ptr<const CatalogSnapshot>> build_snapshot(const CatalogState& state, const Config& config,
                                                              const Definitions& definitions) {
  const auto refuse = [](std::string message, std::string detail, std::string hint) {
    return Error{routing::sqlstate::kConfigError, std::move(message), std::move(detail), std::move(hint)};
  };
  if (!state.is_complete)
    return refuse("`mosaic init` has not finished: shards may lack tables", "",
                  "run `mosaic init` again with the same schema file; it goes on where it stopped");
  if (const auto found = differences(state, config); !found.empty())
    return refuse("the catalog and the configuration disagree", fmt::format("{}", fmt::join(found, "; ")),
                  "correct the configuration: what the catalog says is how the rows lie");
  CatalogSnapshot::Parts parts;
  parts.epoch.value = state.epoch;
  for (const pool::NodeSettings& node : config.proxy.nodes) {
    parts.node_names.push_back(node.address.name);
    parts.nodes_in_use.push_back(!node.is_removed && is_in_use(state, node.address.name));
  }
  parts.default_node = *find_node(config, config.default_node);
  parts.schema_prefix = state.layout.schema_prefix;
  parts.shard_function = config.shards.function;
  parts.id_layout = config.shards.id_layout;
  parts.functions = definitions.functions;
  parts.search_paths = definitions.search_paths;
  parts.definitions_as_of = definitions.as_of;

  if (const auto unlisted = describe_unlisted_nodes(state, config); !unlisted.empty())
    return refuse("there are nodes with data that the configuration does not list",
                  fmt::format("{}", fmt::join(unlisted, "; ")),
                  "add a section [nodes.NAME] for each of them");
  for (size_t shard = 0; shard < state.shard_nodes.size(); ++shard) {
    const uint64_t epoch = shard < state.shard_epochs.size() ? state.shard_epochs[shard] : 1;
    parts.places.push_back({*find_node(config, state.shard_nodes[shard]), {epoch}, false});
  }
  if (state.shard_nodes.size() != state.layout.shard_count)
    return refuse(
        "the catalog's shard map is incomplete",
        fmt::format("{} of {} shards have a node", state.shard_nodes.size(), state.layout.shard_count),
        "restore the catalog's table of shards from a backup");
  for (const CatalogTable& stored : state.tables) {
    routing::Table table;
    table.name = stored.name;
    table.kind = stored.kind;
    table.key = stored.key;
    table.id = stored.id;
    table.key_type = stored.key_type;
    if (stored.kind == routing::TableKind::kPinned) table.node = *find_node(config, stored.node);
    for (const CatalogColumn& column : stored.columns) {
      table.columns.push_back({column.name, column.type_oid});
      if (column.name == table.key) set_key_type(column, table);
    }
    if (const auto at = definitions.namesakes.find(stored.name); at != definitions.namesakes.end())
      table.other_schemas = at->second;
    parts.tables.push_back(std::move(table));
  }
  return std::shared_ptr<const CatalogSnapshot>(std::make_shared<CatalogSnapshot>(std::move(parts)));
}

}  // namespace mosaic::admin
