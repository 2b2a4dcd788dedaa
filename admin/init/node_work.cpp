#include "admin/init/node_work.h"

#include <fmt/format.h>

#include <map>

#include "admin/init/init_scripts.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

Error unknown_schema(const std::string& what) {
  return Error{routing::sqlstate::kConfigError,
               what + " come from another schema file or another version of Mosaic", "",
               "give the file that was applied, with what it has gained since behind it"};
}

Status find_shard_work(Connection& connection, const std::string& node, const WantedNodes& wanted,
                       NodeWork& work) {
  const Config& config = wanted.config;
  auto rows = connection.query(
      fmt::format("SELECT shard, digest, grantees FROM {}.shard_schemas", config.catalog.schema));
  if (!rows) return rows.error();
  std::map<int64_t, int> row_of;
  for (int row = 0; row < rows->count(); ++row) row_of[rows->integer(row, 0)] = row;
  for (uint32_t shard = 0; shard < wanted.shard_nodes.size(); ++shard) {
    if (wanted.shard_nodes[shard] != node) continue;
    const auto at = row_of.find(shard);
    if (at == row_of.end()) {
      if (!wanted.plan.sharded_tables.empty()) work.create.push_back(ShardId{shard});
      continue;
    }
    const auto step = wanted.plan.step_of(rows->text(at->second, 1));
    if (!step) return unknown_schema(fmt::format("the tables of shard {}", shard));
    if (*step < wanted.plan.last_step()) {
      work.extend.push_back({ShardId{shard}, *step});
    } else if (rows->text(at->second, 2) != grantees_text(config)) {
      work.grant.push_back(ShardId{shard});
    }
  }
  return {};
}

}  // namespace

Result<NodeWork> find_node_work(Connection& connection, const std::string& node, const WantedNodes& wanted) {
  NodeWork work;
  const std::string& schema = wanted.config.catalog.schema;
  auto is_there = connection.query("SELECT to_regclass($1) IS NOT NULL", {schema + ".node_record"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") {
    work.needs_public = true;
    for (uint32_t shard = 0; shard < wanted.shard_nodes.size(); ++shard) {
      if (wanted.shard_nodes[shard] == node && !wanted.plan.sharded_tables.empty())
        work.create.push_back(ShardId{shard});
    }
    return work;
  }
  auto record =
      connection.query(fmt::format("SELECT cluster_id, public_digest, grantees FROM {}.node_record", schema));
  if (!record) return record.error();
  if (record->count() > 0 && record->text(0, 0) != wanted.cluster_id)
    return Error{routing::sqlstate::kConfigError, "this database belongs to another cluster",
                 fmt::format("its record says cluster {}, the catalog is {}", record->text(0, 0),
                             wanted.cluster_id.empty() ? "new" : wanted.cluster_id),
                 "name another database, or another catalog"};
  work.needs_public = record->count() == 0 || record->text(0, 1).empty();
  work.needs_public_grants = !work.needs_public && record->text(0, 2) != grantees_text(wanted.config);
  if (!work.needs_public) {
    const auto step = wanted.plan.step_of(record->text(0, 1));
    if (!step) return unknown_schema("its tables in public");
    if (*step < wanted.plan.last_step()) work.public_step = *step;
  }
  if (Status status = find_shard_work(connection, node, wanted, work); !status) return status.error();
  return work;
}

std::string describe(const NodeWork& work, const std::string& node, const SchemaPlan& plan,
                     const char* will) {
  if (work.is_done()) return "nothing to do";
  std::vector<std::string> parts;
  if (!work.create.empty() || work.needs_public)
    parts.push_back(fmt::format("create {} shards", work.create.size()));
  if (work.needs_public)
    parts.push_back(fmt::format("{} twins, {} reference tables", plan.sharded_tables.size(),
                                plan.reference_tables.size()));
  if (!work.extend.empty() || work.public_step)
    parts.push_back(
        fmt::format("apply what is new in the schema to public and {} shards", work.extend.size()));
  if (work.needs_public_grants || !work.grant.empty())
    parts.push_back(fmt::format("grant anew on {} shards", work.grant.size()));
  for (const auto& [table, where] : plan.single_tables) {
    if (work.needs_public && where == node) parts.push_back("table " + table);
  }
  if (!work.fill.empty())
    parts.push_back(fmt::format("copy the rows of {} from the default node", fmt::join(work.fill, ", ")));
  if (work.needs_listing && parts.empty()) parts.emplace_back("take it into use");
  return fmt::format("{} {}", will, fmt::join(parts, ", "));
}

}  // namespace mosaic::admin
