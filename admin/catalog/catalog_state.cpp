#include "admin/catalog/catalog_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mosaic::admin {

using routing::KeyType;
using routing::TableKind;

std::vector<std::string> nodes_with_data(const CatalogState& state) {
  std::set<std::string> names(state.shard_nodes.begin(), state.shard_nodes.end());
  names.insert(state.layout.default_node);
  for (const CatalogTable& table : state.tables) {
    if (table.kind == TableKind::kPinned) names.insert(table.node);
  }
  return {names.begin(), names.end()};
}

std::string describe_data(const CatalogState& state, const std::string& node) {
  std::vector<std::string> parts;
  if (const auto shards = std::count(state.shard_nodes.begin(), state.shard_nodes.end(), node); shards > 0)
    parts.push_back(fmt::format("{} shard{}", shards, shards == 1 ? "" : "s"));
  for (const CatalogTable& table : state.tables) {
    if (table.kind == TableKind::kPinned && table.node == node) parts.push_back("table " + table.name);
  }
  if (node == state.layout.default_node) parts.emplace_back("all tables that are not listed (default_node)");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string_view to_text(TableKind kind) {
  switch (kind) {
    case TableKind::kSharded:
      return "sharded";
    case TableKind::kReference:
      return "reference";
    case TableKind::kPinned:
      return "pinned";
  }
  return "";
}

std::string_view to_text(KeyType type) {
  switch (type) {
    case KeyType::kInt8:
      return "int8";
    case KeyType::kText:
      return "text";
    case KeyType::kUuid:
      return "uuid";
    case KeyType::kPaddedText:
      return "char";
  }
  return "";
}

std::string_view to_text(routing::ShardFunction function) {
  return function == routing::ShardFunction::kModulo ? "modulo" : "xxh3";
}

bool parse_table_kind(std::string_view text, TableKind& kind) {
  for (const TableKind known : {TableKind::kSharded, TableKind::kReference, TableKind::kPinned}) {
    if (to_text(known) != text) continue;
    kind = known;
    return true;
  }
  return false;
}

bool parse_key_type(std::string_view text, KeyType& type) {
  for (const KeyType known : {KeyType::kInt8, KeyType::kText, KeyType::kUuid, KeyType::kPaddedText}) {
    if (to_text(known) != text) continue;
    type = known;
    return true;
  }
  return false;
}

}  // namespace mosaic::admin
