#include "admin/catalog/catalog_json.h"

#include <nlohmann/json.hpp>

#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using nlohmann::json;
using routing::Error;
using routing::Result;

json json_of(const Columns& columns) {
  json list = json::array();
  for (const auto& [name, type, modifier] : columns)
    list.push_back({{"name", name}, {"type", type}, {"modifier", modifier}});
  return list;
}

Columns columns_of(const json& list) {
  Columns columns;
  for (const json& column : list)
    columns.push_back({column.at("name").get<std::string>(), column.at("type").get<uint32_t>(),
                       column.value("modifier", -1)});
  return columns;
}

Error unreadable(const char* what, const json::exception& error) {
  return Error{routing::sqlstate::kConfigError, std::string("unreadable ") + what, error.what(), ""};
}

json json_of(const CatalogTable& table) {
  return {{"name", table.name},
          {"kind", to_text(table.kind)},
          {"key", table.key},
          {"id", table.id},
          {"node", table.node},
          {"key_type", to_text(table.key_type)},
          {"columns", json_of(table.columns)}};
}

CatalogTable table_of(const json& entry) {
  CatalogTable table;
  table.name = entry.at("name").get<std::string>();
  table.key = entry.at("key").get<std::string>();
  table.id = entry.at("id").get<std::string>();
  table.node = entry.at("node").get<std::string>();
  table.columns = columns_of(entry.at("columns"));
  if (!parse_table_kind(entry.at("kind").get<std::string>(), table.kind) ||
      !parse_key_type(entry.at("key_type").get<std::string>(), table.key_type))
    throw json::other_error::create(501, "unknown kind or key type of table " + table.name, nullptr);
  return table;
}

}  // namespace

std::string to_json(const CatalogState& state) {
  const ClusterLayout& layout = state.layout;
  json document = {{"cluster_id", state.cluster_id},
                   {"epoch", state.epoch},
                   {"is_complete", state.is_complete},
                   {"shard_count", layout.shard_count},
                   {"shard_function", layout.shard_function},
                   {"schema_prefix", layout.schema_prefix},
                   {"id_shard_bits", layout.id_shard_bits},
                   {"id_sequence_bits", layout.id_sequence_bits},
                   {"id_epoch_ms", layout.id_epoch_ms},
                   {"default_node", layout.default_node},
                   {"shard_nodes", state.shard_nodes},
                   {"shard_epochs", state.shard_epochs},
                   {"nodes", state.nodes},
                   {"tables", json::array()}};
  for (const CatalogTable& table : state.tables) document["tables"].push_back(json_of(table));
  return document.dump(1);
}

Result<CatalogState> parse_catalog_json(std::string_view text) {
  try {
    const json document = json::parse(text);
    CatalogState state;
    state.cluster_id = document.at("cluster_id").get<std::string>();
    state.epoch = document.at("epoch").get<uint64_t>();
    state.is_complete = document.at("is_complete").get<bool>();
    state.layout.shard_count = document.at("shard_count").get<uint32_t>();
    state.layout.shard_function = document.at("shard_function").get<std::string>();
    state.layout.schema_prefix = document.at("schema_prefix").get<std::string>();
    state.layout.id_shard_bits = document.at("id_shard_bits").get<uint32_t>();
    state.layout.id_sequence_bits = document.at("id_sequence_bits").get<uint32_t>();
    state.layout.id_epoch_ms = document.at("id_epoch_ms").get<int64_t>();
    state.layout.default_node = document.at("default_node").get<std::string>();
    state.shard_nodes = document.at("shard_nodes").get<std::vector<std::string>>();
    state.shard_epochs = document.value("shard_epochs", std::vector<uint64_t>(state.shard_nodes.size(), 1));
    for (const json& entry : document.at("tables")) state.tables.push_back(table_of(entry));
    state.nodes = document.contains("nodes") ? document.at("nodes").get<std::vector<std::string>>()
                                             : nodes_with_data(state);
    return state;
  } catch (const json::exception& error) {
    return unreadable("shard map", error);
  }
}

std::string columns_to_json(const Columns& columns) { return json_of(columns).dump(); }

Result<Columns> parse_columns_json(std::string_view text) {
  try {
    return columns_of(json::parse(text));
  } catch (const json::exception& error) {
    return unreadable("columns", error);
  }
}

}  // namespace mosaic::admin
