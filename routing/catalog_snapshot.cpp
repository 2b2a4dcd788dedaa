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

CatalogSnapshot::CatalogSnapshot(Parts parts) : epoch_(parts.epoch), places_(std::move(parts.places)) {
  auto fixed = std::make_shared<Fixed>();
  fixed->parts = std::move(parts);
  Parts& kept = fixed->parts;
  fixed->schemas.reserve(places_.size());
  for (uint32_t shard = 0; shard < shard_count(); ++shard)
    fixed->schemas.push_back(shard_schema_name(kept.schema_prefix, ShardId{shard}, shard_count()));
  for (size_t i = 0; i < kept.tables.size(); ++i)
    fixed->table_index.emplace(kept.tables[i].name, static_cast<int>(i));
  if (kept.functions == nullptr) kept.functions = FunctionClasses::unread();
  fixed->tables_fingerprint = fingerprint_of(kept.tables, *kept.functions);
  fixed->has_shadowed_tables = std::any_of(kept.tables.begin(), kept.tables.end(),
                                           [](const Table& table) { return table.is_shadowed(); });
  fixed_ = std::move(fixed);
}

std::shared_ptr<const CatalogSnapshot> CatalogSnapshot::with_places(
    const std::vector<ShardPlaceChange>& changes) const {
  std::vector<ShardPlace> places = places_;
  Epoch epoch = epoch_;
  for (const auto& [shard, place] : changes) {
    if (shard.value >= places.size() || place.epoch.value < places[shard.value].epoch.value) continue;
    places[shard.value] = place;
    epoch.value = std::max(epoch.value, place.epoch.value);
  }
  return std::shared_ptr<const CatalogSnapshot>(new CatalogSnapshot(fixed_, epoch, std::move(places)));
}

std::string_view CatalogSnapshot::search_path_of(std::string_view role) const {
  auto at = parts().search_paths.find(role);
  if (at == parts().search_paths.end()) at = parts().search_paths.find("");
  return at == parts().search_paths.end() ? std::string_view("\"$user\", public")
                                          : std::string_view(at->second);
}

std::optional<ShardId> CatalogSnapshot::first_shard_on(NodeId node) const {
  const auto at = std::find_if(places_.begin(), places_.end(),
                               [&](const ShardPlace& place) { return place.node == node; });
  if (at == places_.end()) return std::nullopt;
  return ShardId{static_cast<uint32_t>(at - places_.begin())};
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
  const auto at = fixed_->table_index.find(name);
  return at == fixed_->table_index.end() ? -1 : at->second;
}

}  // namespace mosaic::routing
