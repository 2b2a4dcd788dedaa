#include "bench/workload/cluster_map.h"

#include <algorithm>
#include <stdexcept>

#include "bench/workload/connection.h"

namespace mosaic::workload {

namespace {

size_t index_of(const std::vector<ClusterNode>& nodes, const std::string& name) {
  const auto at =
      std::find_if(nodes.begin(), nodes.end(), [&](const ClusterNode& n) { return n.name == name; });
  if (at == nodes.end()) {
    throw std::runtime_error("the catalog names the node '" + name + "': say where it is, --node " + name +
                             "=\"host=... port=... dbname=...\"");
  }
  return static_cast<size_t>(at - nodes.begin());
}

routing::ShardFunction parse_function(const std::string& text) {
  if (text == "xxh3") return routing::ShardFunction::kXxh3;
  if (text == "modulo") return routing::ShardFunction::kModulo;
  throw std::runtime_error("the catalog's shard function '" + text + "' is not known here");
}

}  // namespace

std::string ClusterMap::schema_of(uint32_t shard) const {
  return routing::shard_schema_name(schema_prefix, routing::ShardId{shard}, shard_count());
}

uint32_t ClusterMap::shard_of_user(int64_t user_id) const {
  routing::KeyValue key;
  key.type = routing::KeyType::kInt8;
  key.integer = user_id;
  return routing::shard_of(function, key, shard_count()).value;
}

uint32_t ClusterMap::shard_of_id(int64_t id) const {
  const auto shard = id_layout.shard_of(id, shard_count());
  return shard ? shard->value : shard_count();
}

ClusterNode parse_node(const std::string& text) {
  const size_t equals = text.find('=');
  // "host=... port=..." has an equals sign too; a node's name holds no blank and comes before a second one.
  if (equals == std::string::npos || equals == 0 || text.find('=', equals + 1) == std::string::npos) {
    throw std::runtime_error("expected --node name=\"host=... port=... dbname=...\", got '" + text + "'");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

ClusterMap read_cluster_map(const std::string& conninfo, std::vector<ClusterNode> nodes) {
  ClusterMap map;
  map.nodes = std::move(nodes);
  const ConnectionPtr catalog = connect_blocking(conninfo);
  const ResultPtr meta = execute_blocking(catalog.get(),
                                          "SELECT schema_prefix, shard_function, id_shard_bits, "
                                          "id_sequence_bits, id_epoch_ms, shard_count FROM mosaic.meta");
  if (PQntuples(meta.get()) != 1) throw std::runtime_error("the catalog is empty: run `mosaic init` first");
  map.schema_prefix = PQgetvalue(meta.get(), 0, 0);
  map.function = parse_function(PQgetvalue(meta.get(), 0, 1));
  map.id_layout.shard_bits = static_cast<uint32_t>(std::stoul(PQgetvalue(meta.get(), 0, 2)));
  map.id_layout.sequence_bits = static_cast<uint32_t>(std::stoul(PQgetvalue(meta.get(), 0, 3)));
  map.id_layout.epoch_ms = std::stoll(PQgetvalue(meta.get(), 0, 4));

  const ResultPtr shards =
      execute_blocking(catalog.get(), "SELECT shard, node FROM mosaic.shards ORDER BY shard");
  for (int row = 0; row < PQntuples(shards.get()); ++row) {
    if (std::stoi(PQgetvalue(shards.get(), row, 0)) != row)
      throw std::runtime_error("the shard map has a gap");
    map.shard_nodes.push_back(index_of(map.nodes, PQgetvalue(shards.get(), row, 1)));
  }
  if (std::to_string(map.shard_count()) != PQgetvalue(meta.get(), 0, 5)) {
    throw std::runtime_error("the catalog's shard map is incomplete");
  }
  return map;
}

}  // namespace mosaic::workload
