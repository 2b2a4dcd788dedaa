#include "bench/workload/verifier.h"

#include <fmt/format.h>

#include <set>

#include "bench/workload/connection.h"

namespace mosaic::workload {

namespace {

std::string select_rows(Table table, const std::string& schema) {
  return fmt::format("SELECT {} FROM {}.{}", compared_columns(table), schema, to_text(table));
}

std::set<std::string> shard_schemas_on(PGconn* node, const std::string& prefix) {
  const ResultPtr rows = execute_blocking(
      node,
      fmt::format("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, '{}') ORDER BY 1", prefix));
  std::set<std::string> schemas;
  for (int row = 0; row < PQntuples(rows.get()); ++row) schemas.insert(PQgetvalue(rows.get(), row, 0));
  return schemas;
}

uint64_t count_rows(PGconn* node, const std::string& schema) {
  std::string sum;
  for (const Table table : kTables) {
    sum += fmt::format("{}(SELECT count(*) FROM {}.{})", sum.empty() ? "" : " + ", schema, to_text(table));
  }
  return std::stoull(PQgetvalue(execute_blocking(node, "SELECT " + sum).get(), 0, 0));
}

// Every row of one shard, at the place where the map says it is.
void read_shard(const ClusterMap& map, uint32_t shard, PGconn* node, const std::string& node_name,
                RowComparison& comparison) {
  for (const Table table : kTables) {
    const std::string where = fmt::format("{}.{} on {}", map.schema_of(shard), to_text(table), node_name);
    const ResultPtr rows = execute_blocking(node, select_rows(table, map.schema_of(shard)));
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      const int64_t user_id = user_in(table, rows.get(), row);
      const int64_t id = id_in(table, rows.get(), row);
      ++comparison.verification().rows_placed;
      if (map.shard_of_user(user_id) != shard) {
        comparison.verification().add(fmt::format("misplaced: a row of user {} in {}, whose shard is {}",
                                                  user_id, where, map.schema_of(map.shard_of_user(user_id))));
      }
      if (id != 0 && map.shard_of_id(id) != shard) {
        comparison.verification().add(
            fmt::format("misplaced: the ID {} in {} carries another shard", id, where));
      }
      comparison.add(table, rows.get(), row, where);
    }
  }
}

}  // namespace

Verification Verifier::verify(const Oracle& oracle) const {
  RowComparison comparison(oracle, population_);
  for (size_t i = 0; i < map_.nodes.size(); ++i) {
    const ClusterNode& node = map_.nodes[i];
    const ConnectionPtr connection = connect_blocking(node.conninfo);
    std::set<std::string> others = shard_schemas_on(connection.get(), map_.schema_prefix);
    for (uint32_t shard = 0; shard < map_.shard_count(); ++shard) {
      if (map_.shard_nodes[shard] != i) continue;
      read_shard(map_, shard, connection.get(), node.name, comparison);
      others.erase(map_.schema_of(shard));
    }
    // Where no row may be: schemas of shards that live elsewhere, and the empty twins.
    others.insert("public");
    for (const std::string& schema : others) {
      const uint64_t rows = count_rows(connection.get(), schema);
      if (rows == 0) continue;
      comparison.verification().add(
          fmt::format("misplaced: {} rows in {} on {}, where none may be", rows, schema, node.name));
    }
  }
  comparison.finish();
  return std::move(comparison.verification());
}

std::vector<NodeContent> Verifier::count_content() const {
  std::vector<NodeContent> contents;
  for (size_t i = 0; i < map_.nodes.size(); ++i) {
    NodeContent content;
    content.name = map_.nodes[i].name;
    const ConnectionPtr connection = connect_blocking(map_.nodes[i].conninfo);
    for (uint32_t shard = 0; shard < map_.shard_count(); ++shard) {
      if (map_.shard_nodes[shard] != i) continue;
      ++content.shards;
      content.rows += count_rows(connection.get(), map_.schema_of(shard));
    }
    contents.push_back(std::move(content));
  }
  return contents;
}

Verification verify_unsharded(const std::string& conninfo, const Oracle& oracle,
                              const Population& population) {
  RowComparison comparison(oracle, population);
  const ConnectionPtr connection = connect_blocking(conninfo);
  for (const Table table : kTables) {
    const ResultPtr rows = execute_blocking(connection.get(), select_rows(table, "public"));
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      ++comparison.verification().rows_placed;
      comparison.add(table, rows.get(), row, "public." + std::string(to_text(table)));
    }
  }
  comparison.finish();
  return std::move(comparison.verification());
}

}  // namespace mosaic::workload
