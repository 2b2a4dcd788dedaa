#include "routing/catalog_snapshot.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "routing/postgres/function_classes.h"

namespace mosaic::routing {

namespace {

uint64_t fingerprint_of(const std::vector<Table>& tables, const FunctionClasses& functions) {
  std::string flat = fmt::format("{}\x1e", functions.fingerprint());
  for (const Table& table : tables) {
    flat += fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1e", table.name,
                        static_cast<int>(table.kind), table.key, table.id, static_cast<int>(table.key_type),
                        table.key_length_max, table.node.value, fmt::join(table.other_schemas, "\x1f"));
    for (const Column& column : table.columns)
      flat += fmt::format("{}\x1f{}\x1e", column.name, column.type_oid);
  }
  return XXH3_64bits(flat.data(), flat.size());
}

}  // namespace

int Table::find_column(std::string_view column) const {
  const auto at =
      std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.name == column; });
  return at == columns.end() ? -1 : static_cast<int>(at - columns.begin());
}

std::string shard_schema_name(std::string_view prefix, ShardId shard, uint32_t shard_count) {
  const size_t width = std::max<size_t>(4, fmt::formatted_size("{}", shard_count == 0 ? 0 : shard_count - 1));
  return fmt::format("{}{:0{}}", prefix, shard.value, width);
}

CatalogSnapshot::CatalogSnapshot(Parts parts) : parts_(std::move(parts)) {
  schemas_.reserve(parts_.shard_nodes.size());
  for (uint32_t shard = 0; shard < shard_count(); ++shard) {
    schemas_.push_back(shard_schema_name(parts_.schema_prefix, ShardId{shard}, shard_count()));
  }
  for (size_t i = 0; i < parts_.tables.size(); ++i)
    table_index_.emplace(parts_.tables[i].name, static_cast<int>(i));
  if (parts_.functions == nullptr) parts_.functions = FunctionClasses::unread();
  tables_fingerprint_ = fingerprint_of(parts_.tables, *parts_.functions);
  has_shadowed_tables_ = std::any_of(parts_.tables.begin(), parts_.tables.end(),
                                     [](const Table& table) { return table.is_shadowed(); });
}

std::string_view CatalogSnapshot::search_path_of(std::string_view role) const {
  auto at = parts_.search_paths.find(role);
  if (at == parts_.search_paths.end()) at = parts_.search_paths.find("");
  return at == parts_.search_paths.end() ? std::string_view("\"$user\", public")
                                         : std::string_view(at->second);
}

std::optional<ShardId> CatalogSnapshot::first_shard_on(NodeId node) const {
  const auto at = std::find(parts_.shard_nodes.begin(), parts_.shard_nodes.end(), node);
  if (at == parts_.shard_nodes.end()) return std::nullopt;
  return ShardId{static_cast<uint32_t>(at - parts_.shard_nodes.begin())};
}

uint32_t CatalogSnapshot::count_nodes_in_use() const {
  uint32_t count = 0;
  for (uint16_t node = 0; node < node_count(); ++node) count += is_in_use(NodeId{node}) ? 1 : 0;
  return count;
}

std::optional<NodeId> CatalogSnapshot::next_node_in_use(NodeId from) const {
  for (uint16_t node = from.value; node < node_count(); ++node) {
    if (is_in_use(NodeId{node})) return NodeId{node};
  }
  return std::nullopt;
}

int CatalogSnapshot::find_table(std::string_view name) const {
  const auto at = table_index_.find(name);
  return at == table_index_.end() ? -1 : at->second;
}

}  // namespace mosaic::routing
