#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "admin/catalog/snapshot_builder.h"
#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

// What all workers say about one node.
struct NodeSum {
  uint64_t connections = 0, transactions = 0, queries = 0, waiting = 0;
};

std::vector<NodeSum> sum_nodes(const proxy::Report& report, size_t count) {
  std::vector<NodeSum> nodes(count);
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::NodeReport& node : worker.nodes)
      nodes.at(node.node.value).connections += node.connections;
    for (const proxy::TrafficReport& traffic : worker.traffic) {
      nodes.at(traffic.node.value).transactions += traffic.transactions;
      nodes.at(traffic.node.value).queries += traffic.queries;
    }
    for (const proxy::PoolReport& pool : worker.pools)
      nodes.at(pool.node.value).waiting += pool.clients_waiting;
  }
  return nodes;
}

// A node that is up and does not let some user in is shown as such.
const char* state_of(const pool::NodeHealth::Status& health) {
  const bool is_up = health.state == pool::NodeHealth::State::kUp;
  return is_up && !health.refusals.empty() ? "refusing" : pool::to_text(health.state);
}

uint64_t since_us(const pool::NodeHealth::Status& health) {
  const bool is_up = health.state == pool::NodeHealth::State::kUp;
  return is_up && !health.refusals.empty() ? health.refusals.front().since_us : health.since_us;
}

// "app (3 times), blog (1 time)"
std::string refused_users(const pool::NodeHealth::Status& health) {
  std::string text;
  for (const auto& refusal : health.refusals) {
    text += fmt::format("{}{} ({} time{})", text.empty() ? "" : ", ", refusal.user, refusal.count,
                        refusal.count == 1 ? "" : "s");
  }
  return text;
}

}  // namespace

ViewTable show_nodes(const ViewContext& context) {
  const auto config = context.backend.config();
  const auto catalog = context.backend.catalog();
  const proxy::Report report = context.backend.report({.is_of_one_instant = true});
  const std::vector<NodeSum> sums = sum_nodes(report, report.nodes.size());
  std::vector<uint64_t> shards(report.nodes.size());
  for (uint32_t shard = 0; shard < catalog->shard_count(); ++shard)
    ++shards.at(catalog->node_of({shard}).value);
  ViewTable table{columns({"name",
                           "host",
                           "port#",
                           "database",
                           "state",
                           "since",
                           "shards#",
                           "connections#",
                           "cl_waiting#",
                           "xact_count#",
                           "query_count#",
                           "probe_us#",
                           "changes#",
                           "connect_failures#",
                           "refused_logins#",
                           "refused_users",
                           "cancels#",
                           "cancel_failures#",
                           "last_error",
                           "last_error_at"}),
                  {}};
  for (const NodeConfig& entry : config->nodes) {
    const pool::NodeAddress& node = entry.address;
    const size_t i = entry.id.value;
    const NodeSum& sum = sums.at(i);
    const pool::NodeHealth::Status& health = report.nodes.at(i);
    const bool is_in_use = catalog->is_in_use(entry.id);
    table.rows.push_back(row(node.name, node.host, node.port, node.dbname,
                             is_in_use ? state_of(health) : "not in use", time_cell(since_us(health)),
                             shards[i], sum.connections, sum.waiting, sum.transactions, sum.queries,
                             health.probe_us, health.changes, health.connect_failures, health.refused_logins,
                             refused_users(health), health.cancels, health.cancel_failures, health.last_error,
                             time_cell(health.last_error_us)));
  }
  return table;
}

ViewTable show_shards(const ViewContext& context) {
  constexpr size_t kMinute = 1;  // of ShardHeat::kWindows
  const auto catalog = context.backend.catalog();
  const ShardTotals totals = sum_shards(context.backend.report({}));
  const ShardTotals heat = context.state.heat.added(kMinute, totals, ShardHeat::Clock::now());
  const std::map<uint32_t, ShardSize> sizes = context.backend.shard_sizes();
  std::map<uint32_t, MoveRow> moves;
  if (auto open = context.backend.moves(true)) {
    for (MoveRow& move : *open) moves[move.shard.value] = std::move(move);
  }
  const auto counted = [](const std::vector<uint64_t>& counts, uint32_t shard) {
    return shard < counts.size() ? counts[shard] : 0;
  };
  ViewTable table{columns({"shard#", "schema", "node", "query_count#", "epoch#", "state", "bytes#", "rows#",
                           "queries_1m#", "time_1m#", "move#", "move_state"}),
                  {}};
  for (uint32_t shard = 0; shard < catalog->shard_count(); ++shard) {
    const routing::ShardPlace& place = catalog->place_of({shard});
    ViewRow cells = row(shard, catalog->schema_of({shard}), catalog->node_name(place.node),
                        counted(totals.queries, shard), place.epoch.value,
                        place.is_held       ? "held"
                        : place.is_in_doubt ? "in doubt"
                                            : "open");
    const auto size = sizes.find(shard);  // NULL: its node has not told
    cells.push_back(size == sizes.end() ? std::nullopt : cell(size->second.bytes));
    cells.push_back(size == sizes.end() ? std::nullopt : cell(size->second.rows));
    cells.push_back(cell(counted(heat.queries, shard)));
    cells.push_back(cell(counted(heat.us, shard)));
    const auto move = moves.find(shard);
    cells.push_back(move == moves.end() ? std::nullopt : cell(move->second.id));
    cells.push_back(move == moves.end() ? std::nullopt : cell(to_text(move->second.state)));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ViewTable show_tables(const ViewContext& context) {
  const auto catalog = context.backend.catalog();
  const auto config = context.backend.config();
  ViewTable table{columns({"name", "kind", "key", "key_type", "id", "node", "columns#", "state"}), {}};
  const auto is_declared = [&](const std::string& name) {
    return std::any_of(config->tables.begin(), config->tables.end(),
                       [&](const TableConfig& declared) { return declared.name == name; });
  };
  for (const routing::Table& entry : catalog->tables()) {
    const bool is_sharded = entry.kind == routing::TableKind::kSharded;
    const bool is_pinned = entry.kind == routing::TableKind::kPinned;
    table.rows.push_back(row(entry.name, to_text(entry.kind), entry.key,
                             is_sharded ? to_text(entry.key_type) : "", entry.id,
                             is_pinned ? catalog->node_name(entry.node) : std::string(), entry.columns.size(),
                             is_declared(entry.name) ? "ready" : "not in the configuration"));
  }
  for (const CatalogTable& declared : declared_tables(*config)) {
    if (catalog->find_table(declared.name) < 0)
      table.rows.push_back(row(declared.name, to_text(declared.kind), declared.key, "", declared.id,
                               declared.node, 0, "not made yet: mosaic init"));
  }
  return table;
}

ViewTable show_shape_cache(const ViewContext& context) {
  ViewTable table{columns({"worker#", "hits#", "misses#", "hit_rate", "evictions#", "parse_us#", "shapes#",
                           "bytes#", "bytes_max#"}),
                  {}};
  for (const proxy::WorkerReport& worker : context.backend.report({}).workers) {
    const routing::ShapeCacheStatistics& cache = worker.shape_cache;
    const uint64_t lookups = cache.hits + cache.misses;
    // NULL before the first statement: 0 would look like trouble.
    const ViewCell hit_rate =
        lookups == 0
            ? cell(std::nullopt)
            : cell(fmt::format("{:.6f}", static_cast<double>(cache.hits) / static_cast<double>(lookups)));
    ViewRow cells = row(worker.worker, cache.hits, cache.misses);
    cells.push_back(hit_rate);
    for (const ViewCell& value :
         row(cache.evictions, cache.parse_ns / 1000, cache.shapes, cache.bytes, cache.bytes_max))
      cells.push_back(value);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ViewTable show_statement_cache(const ViewContext& context) {
  ViewTable table{columns({"worker#", "statements#", "bytes#", "bytes_max#", "evictions#",
                           "described_from_cache#", "bound_queries#", "unbound_queries#"}),
                  {}};
  for (const proxy::WorkerReport& worker : context.backend.report({}).workers)
    table.rows.push_back(row(worker.worker, worker.statements, worker.statement_cache_bytes,
                             worker.statement_cache_bytes_max, worker.statement_evictions,
                             worker.described_from_cache, worker.bound_queries, worker.unbound_queries));
  return table;
}

ViewTable show_session_state(const ViewContext& context) {
  ViewTable table{columns({"worker#", "moved_transactions#", "rested_servers#", "looked_servers#",
                           "healed_statements#", "held_statements#", "waiting_now#", "replayed_statements#",
                           "refused_for_moves#", "prepared_ahead#", "longest_hold_us#"}),
                  {}};
  for (const proxy::WorkerReport& worker : context.backend.report({}).workers) {
    proxy::MovingCounts moving;
    uint64_t waiting = 0;
    for (const auto& [shard, counts] : worker.moving) moving += counts;
    for (const auto& [shard, clients] : worker.clients_at_gate) waiting += clients;
    table.rows.push_back(row(worker.worker, worker.moved_transactions, worker.rested_servers,
                             worker.looked_servers, worker.healed_statements, moving.held, waiting,
                             moving.replayed, moving.refused, moving.prepared, moving.longest_us));
  }
  return table;
}

ViewTable show_proxies(const ViewContext& context) {
  ViewTable table{columns({"proxy", "host", "pid#", "port#", "version", "epoch#", "started_at",
                           "heartbeat_at", "clients#", "epochs_behind#", "silent_ms#"}),
                  {}};
  for (const ProxyRow& entry : context.backend.catalog_status().proxies)
    table.rows.push_back(row(entry.identity.id, entry.identity.host, entry.identity.pid, entry.identity.port,
                             entry.identity.version, entry.load.epoch, entry.started_at, entry.heartbeat_at,
                             entry.load.clients, entry.epochs_behind, entry.silent_ms));
  return table;
}

}  // namespace mosaic::admin
