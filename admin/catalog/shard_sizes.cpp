#include "admin/catalog/shard_sizes.h"

#include <future>
#include <vector>

#include "admin/catalog/node_connection.h"
#include "routing/catalog_snapshot.h"

namespace mosaic::admin {

namespace {

// {schema: size} of one node. $1: how the names of shards' schemas begin.
constexpr const char* kSizesQuery =
    "SELECT n.nspname, sum(pg_total_relation_size(c.oid))::bigint, sum(greatest(c.reltuples, 0))::bigint "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'm') AND n.nspname ^@ $1::text GROUP BY 1";

using SizesBySchema = std::map<std::string, ShardSize, std::less<>>;

SizesBySchema sizes_on(const NodeConfig& node, const Config& config, const StopSignal* stop) {
  SizesBySchema sizes;
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  auto connection = Connection::open(admin_target(node), {.connect = limit, .query = limit, .stop = stop});
  if (!connection) return sizes;
  auto rows = connection->query(kSizesQuery, {config.shards.schema_prefix});
  if (!rows) return sizes;
  for (int row = 0; row < rows->count(); ++row)
    sizes[std::string(rows->text(row, 0))] = {static_cast<uint64_t>(rows->integer(row, 1)),
                                              static_cast<uint64_t>(rows->integer(row, 2))};
  return sizes;
}

}  // namespace

std::map<uint32_t, ShardSize> read_shard_sizes(const Config& config, const ShardNodes& nodes,
                                               const StopSignal* stop) {
  std::map<std::string, std::future<SizesBySchema>> asked;
  for (const NodeConfig& node : config.nodes)
    asked[node.address.name] =
        std::async(std::launch::async, [&node, &config, stop] { return sizes_on(node, config, stop); });
  std::map<std::string, SizesBySchema> by_node;
  for (auto& [name, sizes] : asked) by_node[name] = sizes.get();
  std::map<uint32_t, ShardSize> sizes;
  for (const auto& [shard, node] : nodes) {
    const SizesBySchema& there = by_node[node];
    const auto at =
        there.find(routing::shard_schema_name(config.shards.schema_prefix, {shard}, config.shards.count));
    if (at != there.end()) sizes[shard] = at->second;
  }
  return sizes;
}

}  // namespace mosaic::admin
