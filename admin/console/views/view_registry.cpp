#include "admin/console/views/view_registry.h"

#include <algorithm>
#include <cctype>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

constexpr View kViews[] = {
    // PgBouncer's.
    {"clients", "client connections", show_clients},
    {"config", "configuration keys and their values", show_config},
    {"databases", "the application's database and the console", show_databases},
    {"help", "this list", show_help},
    {"lists", "how many of everything", show_lists},
    {"pools", "clients and server connections per database and user", show_pools},
    {"servers", "server connections", show_servers},
    {"state", "whether the process is active", show_state},
    {"stats", "traffic: totals and averages", show_stats},
    {"stats_averages", "traffic: averages per second", show_stats_averages},
    {"stats_totals", "traffic: totals since start", show_stats_totals},
    {"users", "users of the auth file and their connections", show_users},
    {"version", "what this is", show_version},
    // Ours.
    {"activity", "what each client runs, for how long, and what it waits for; times in microseconds",
     show_activity},
    {"blockers", "who waits for whose locks, on every node; asks the nodes; times in microseconds",
     show_blockers},
    {"events", "the last events of the log, the newest last", show_events},
    {"heat",
     "the shards that were busy in the last 10 s, minute and 10 minutes: statements, and time of servers",
     show_heat},
    {"limits", "limits: their values, what is used of them now and at most, and how often they were met",
     show_limits},
    {"moves", "moves of shards, under way and done; SHOW MOVE n tells all of one", show_moves},
    {"nodes", "PostgreSQL nodes: state, connections, traffic", show_nodes},
    {"proxies", "all proxies that the catalog knows", show_proxies},
    {"shape_cache", "the caches of statement shapes: hit rate, evictions, parse time, bytes, per worker",
     show_shape_cache},
    {"shape_texts", "the full texts of SHAPES, by id, and what they cost the caches", show_shape_texts},
    {"shapes",
     "statements but for literals and parameters: calls, errors, rows, time; the longest time first",
     show_shapes},
    {"session_state",
     "transactions that moved to another node, servers brought to rest or asked what their client still "
     "needs, lost statements prepared again, per worker",
     show_session_state},
    {"shards", "the shard map", show_shards},
    {"statement_cache",
     "prepared statements: texts kept, bytes, evictions, simple queries sent as one (bound), per worker",
     show_statement_cache},
    {"tables", "tables and how they are distributed", show_tables},
};

}  // namespace

std::span<const View> views() { return kViews; }

const View* find_view(std::string_view name) {
  const auto at =
      std::find_if(std::begin(kViews), std::end(kViews), [&](const View& view) { return view.name == name; });
  return at == std::end(kViews) ? nullptr : at;
}

std::string view_names() {
  std::string names;
  for (const View& view : kViews) {
    if (!names.empty()) names += ", ";
    for (const char c : view.name) names += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return names;
}

}  // namespace mosaic::admin
