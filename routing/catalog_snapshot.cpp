#include "routing/catalog_snapshot.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace mosaic::routing {

namespace {

uint64_t fingerprint_of(const std::vector<Table>& tables) {
  std::string flat;
  for (const Table& table : tables) {
    flat += fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}\x1f{}\x1e", table.name, static_cast<int>(table.kind),
                        table.key, table.id, static_cast<int>(table.key_type), table.node.value);
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
  tables_fingerprint_ = fingerprint_of(parts_.tables);
}

std::optional<ShardId> CatalogSnapshot::first_shard_on(NodeId node) const {
  const auto at = std::find(parts_.shard_nodes.begin(), parts_.shard_nodes.end(), node);
  if (at == parts_.shard_nodes.end()) return std::nullopt;
  return ShardId{static_cast<uint32_t>(at - parts_.shard_nodes.begin())};
}

int CatalogSnapshot::find_table(std::string_view name) const {
  const auto at = table_index_.find(name);
  return at == table_index_.end() ? -1 : at->second;
}

}  // namespace mosaic::routing
