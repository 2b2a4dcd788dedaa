#pragma once
// One function per view; each fills a table from what the backend tells. Columns of PgBouncer's views come in
// its order (PgBouncer manual, "Admin console"), one row per (database, user) or database: duplicates break
// exporters.

#include <cstdint>
#include <string>

#include "admin/console/views/view_registry.h"
#include "proxy/report.h"

namespace mosaic::admin {

constexpr uint64_t kMicroseconds = 1'000'000;  // in a second

// Server connections of a pool, whatever they do.
inline uint64_t servers_of(const proxy::PoolReport& pool) {
  return uint64_t{pool.servers_active} + pool.servers_idle + pool.servers_login + pool.servers_being_canceled;
}

// TOML text without the quotes of a plain text: what PgBouncer's users expect in a cell.
inline std::string plain(const std::string& toml) {
  if (toml.size() >= 2 && toml.front() == '"' && toml.back() == '"') return toml.substr(1, toml.size() - 2);
  return toml;
}

// pool_views.cpp
ViewTable show_pools(const ViewContext& context);
ViewTable show_databases(const ViewContext& context);
ViewTable show_users(const ViewContext& context);
ViewTable show_lists(const ViewContext& context);
// traffic_views.cpp
ViewTable show_stats(const ViewContext& context);
ViewTable show_stats_totals(const ViewContext& context);
ViewTable show_stats_averages(const ViewContext& context);
// connection_views.cpp
ViewTable show_clients(const ViewContext& context);
ViewTable show_servers(const ViewContext& context);
ViewTable show_activity(const ViewContext& context);
// statement_views.cpp
ViewTable show_shapes(const ViewContext& context);
ViewTable show_shape_texts(const ViewContext& context);
ViewTable show_heat(const ViewContext& context);
// lock_views.cpp
ViewTable show_blockers(const ViewContext& context);
// move_views.cpp
ViewTable show_moves(const ViewContext& context);
ViewTable show_move(const MoveRow& move);
// limit_views.cpp
ViewTable show_limits(const ViewContext& context);
// process_views.cpp
ViewTable show_version(const ViewContext& context);
ViewTable show_config(const ViewContext& context);
ViewTable show_events(const ViewContext& context);
ViewTable show_state(const ViewContext& context);
ViewTable show_help(const ViewContext& context);
// cluster_views.cpp
ViewTable show_nodes(const ViewContext& context);
ViewTable show_shards(const ViewContext& context);
ViewTable show_tables(const ViewContext& context);
ViewTable show_shape_cache(const ViewContext& context);
ViewTable show_statement_cache(const ViewContext& context);
ViewTable show_session_state(const ViewContext& context);
ViewTable show_proxies(const ViewContext& context);

}  // namespace mosaic::admin
