#include "routing/postgres/route_errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

const Table& table_of(const TableUse& use, const CatalogSnapshot& catalog) {
  return catalog.tables()[use.table];
}

std::string name_of(ShardId shard, const CatalogSnapshot& catalog) {
  return fmt::format("shard {} on node {}", shard.value, catalog.node_name(catalog.node_of(shard)));
}

const std::string& column_of(const Table& table, const KeyTerm& term) {
  return term.is_id ? table.id : table.key;
}

std::string say_the_shard(const Table& table) {
  return fmt::format("say the shard: /* mosaic {}=123 */", table.key);
}

}  // namespace

Error no_shard_key(const StatementPart& part, const TableUse& use, const CatalogSnapshot& catalog) {
  if (use.unbound) return *use.unbound;
  const Table& table = table_of(use, catalog);
  const std::string by_id = table.id.empty() ? "" : fmt::format(" or \"{} = ...\"", table.id);
  const auto bound =
      std::find_if(part.uses.begin(), part.uses.end(), [](const TableUse& u) { return !u.terms.empty(); });
  if (bound == part.uses.end()) {
    return {sqlstate::kNoShardKey, fmt::format("the statement does not tell the shard of \"{}\"", table.name),
            "",
            fmt::format("Add \"AND {} = ...\" (the shard key of {}){}, or {}.", table.key, table.name, by_id,
                        say_the_shard(table))};
  }
  const Table& other = table_of(*bound, catalog);
  return {
      sqlstate::kNoShardKey,
      fmt::format("nothing ties \"{}\" to the shard of \"{}\": the join does not compare their shard keys",
                  table.name, other.name),
      "",
      fmt::format("Add \"AND {}.{} = {}.{}\", or \"{}.{} = ...\", or {}.", table.name, table.key, other.name,
                  other.key, table.name, table.key, say_the_shard(table))};
}

Error no_shard_for_next_id(const CatalogSnapshot& catalog) {
  const auto sharded = std::find_if(catalog.tables().begin(), catalog.tables().end(),
                                    [](const Table& table) { return table.kind == TableKind::kSharded; });
  const std::string key = sharded == catalog.tables().end() ? "shard" : sharded->key;
  return {sqlstate::kNoShardKey, "next_id() makes IDs of one shard, and the statement does not tell which",
          "",
          fmt::format("Call it in an INSERT with a shard key, or say the shard: /* mosaic {}=123 */.", key)};
}

Error many_shards(const TableUse& use, const KeyTerm& term, const KeyInput& input) {
  const Table& table = table_of(use, input.catalog);
  return {sqlstate::kManyShards,
          fmt::format("the values of \"{}\" for \"{}\" are on several shards", column_of(table, term),
                      table.name),
          describe_values(term, input),
          term.is_every ? "Insert the rows of each shard with a statement of its own."
                        : "Send one statement for each shard, in one transaction where that matters."};
}

Error shards_differ(const TableUse& one, ShardId one_shard, const TableUse& other, ShardId other_shard,
                    const CatalogSnapshot& catalog) {
  return {
      sqlstate::kManyShards,
      fmt::format("\"{}\" is asked for on {} and \"{}\" on {}", table_of(one, catalog).name,
                  name_of(one_shard, catalog), table_of(other, catalog).name, name_of(other_shard, catalog)),
      "One statement runs on one shard.", "Send one statement for each shard."};
}

Error key_conflict(const TableUse& use, ShardId one, ShardId other, const CatalogSnapshot& catalog) {
  const Table& table = table_of(use, catalog);
  return {sqlstate::kKeyConflict,
          fmt::format("the conditions on \"{}\" contradict each other: {} and {}", table.name,
                      name_of(one, catalog), name_of(other, catalog)),
          "No row is on both.", fmt::format("Check the values given for \"{}\".", table.key)};
}

Error hint_conflict(const TableUse& use, ShardId own, ShardId hinted, const CatalogSnapshot& catalog) {
  const Table& table = table_of(use, catalog);
  return {sqlstate::kKeyConflict,
          fmt::format("the statement's own key puts \"{}\" on {}, the hint says {}", table.name,
                      name_of(own, catalog), name_of(hinted, catalog)),
          "", "Leave the hint out (RESET mosaic.shard, RESET mosaic.user_id), or correct the key."};
}

Error value_elsewhere(const TableUse& use, const KeyTerm& check, ShardId shard, const KeyInput& input) {
  const Table& table = table_of(use, input.catalog);
  const std::string& column = column_of(table, check);
  if (check.is_every) {
    return {sqlstate::kKeyConflict,
            fmt::format("the \"{}\" given for \"{}\" belongs to another shard than the row, which is on {}",
                        column, table.name, name_of(shard, input.catalog)),
            describe_values(check, input), fmt::format("Leave \"{}\" to its default, next_id().", column)};
  }
  return {sqlstate::kKeyChange,
          fmt::format("UPDATE would move rows of \"{}\" from {} to another shard", table.name,
                      name_of(shard, input.catalog)),
          describe_values(check, input),
          "Insert the row anew with the new key and delete the old one, in one transaction."};
}

Error null_value(const TableUse& use, const KeyTerm& term, const CatalogSnapshot& catalog) {
  const Table& table = table_of(use, catalog);
  return {sqlstate::kUnusableKey,
          fmt::format("the value of \"{}\" for \"{}\" is NULL", column_of(table, term), table.name),
          "A row without a shard key has no shard.", "Give it a value."};
}

Error foreign_id(const TableUse& use, const CatalogSnapshot& catalog) {
  const Table& table = table_of(use, catalog);
  return {sqlstate::kUnusableKey,
          fmt::format("the \"{}\" given for \"{}\" carries no shard: next_id() did not make it", table.id,
                      table.name),
          "A row is found by its ID only if the ID carries the row's shard.",
          fmt::format("Leave \"{}\" to its default, next_id().", table.id)};
}

Error pinned_elsewhere(const StatementPart& part, const CatalogSnapshot& catalog) {
  const Table& table = catalog.tables()[part.pinned_table];
  return {
      sqlstate::kManyNodes,
      fmt::format("\"{}\" is pinned to node {}, other tables of the statement live on the default node {}",
                  table.name, catalog.node_name(table.node), catalog.node_name(catalog.default_node())),
      "", "Use two statements, or pin the other tables to the same node."};
}

Error parts_differ(size_t one, NodeId one_node, size_t other, NodeId other_node,
                   const CatalogSnapshot& catalog) {
  return {sqlstate::kDisagreeingParts,
          fmt::format("statement {} goes to node {} and statement {} to node {}", one + 1,
                      catalog.node_name(one_node), other + 1, catalog.node_name(other_node)),
          "Statements sent as one string run in one transaction, on one node.", "Send them one by one."};
}

}  // namespace mosaic::routing
