// SHOW LIMITS: every limit of the configuration, how much of it is used now, the most that ever was, and how
// often something met it. To add one: a row in kLimits, and what it reads in Facts.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

// What is known when the view is asked for.
struct Facts {
  proxy::Report report;
  std::vector<proxy::ClientReport> console_clients;
  uint64_t console_clients_max = 0;
  uint64_t events_kept = 0;
  std::map<std::string, uint64_t, std::less<>> events;  // ever, by class
};

using Amount = std::optional<uint64_t>;  // nothing: not known, or only for a moment

struct Limit {
  std::string_view key;  // full name in the configuration
  Amount (*used)(const Facts&);
  Amount (*used_max)(const Facts&);
  std::string_view event;  // the class of events that tell of it; empty: none do
};

Amount unknown(const Facts&) { return std::nullopt; }

template <typename Each>
uint64_t most_of_clients(const Facts& facts, Each&& amount) {
  uint64_t most = 0;
  for (const proxy::WorkerReport& worker : facts.report.workers) {
    for (const proxy::ClientReport& client : worker.clients) most = std::max<uint64_t>(most, amount(client));
  }
  return most;
}

template <typename Each>
uint64_t most_of_servers(const Facts& facts, Each&& amount) {
  uint64_t most = 0;
  for (const proxy::WorkerReport& worker : facts.report.workers) {
    for (const proxy::ServerReport& server : worker.servers) most = std::max<uint64_t>(most, amount(server));
  }
  return most;
}

template <typename Each>
uint64_t most_of_workers(const Facts& facts, Each&& amount) {
  uint64_t most = 0;
  for (const proxy::WorkerReport& worker : facts.report.workers)
    most = std::max<uint64_t>(most, amount(worker));
  return most;
}

// Server connections of the pool, node or user (`key_of`) that has most, over all workers.
template <typename KeyOf>
uint64_t most_servers(const Facts& facts, KeyOf&& key_of) {
  std::map<decltype(key_of(proxy::PoolReport{})), uint64_t> sums;
  uint64_t most = 0;
  for (const proxy::WorkerReport& worker : facts.report.workers) {
    for (const proxy::PoolReport& pool : worker.pools)
      most = std::max(most, sums[key_of(pool)] += servers_of(pool));
  }
  return most;
}

// Those that are of one client, server, pool or worker tell that of the one that uses most.
constexpr Limit kLimits[] = {
    {"limits.max_client_conn", [](const Facts& facts) -> Amount { return facts.report.clients; },
     [](const Facts& facts) -> Amount { return facts.report.clients_most; }, "client_refused"},
    {"limits.max_console_clients", [](const Facts& facts) -> Amount { return facts.console_clients.size(); },
     [](const Facts& facts) -> Amount { return facts.console_clients_max; }, "console_refused"},
    {"pool.default_pool_size",
     [](const Facts& facts) -> Amount {
       return most_servers(facts, [](const auto& pool) { return std::pair(pool.node.value, pool.user); });
     },
     unknown, ""},
    {"pool.max_db_connections",
     [](const Facts& facts) -> Amount {
       return most_servers(facts, [](const auto& pool) { return pool.node.value; });
     },
     unknown, ""},
    {"pool.max_user_connections",
     [](const Facts& facts) -> Amount {
       return most_servers(facts, [](const auto& pool) { return pool.user; });
     },
     unknown, ""},
    {"pool.max_waiting_clients",
     [](const Facts& facts) -> Amount {
       return most_of_workers(facts, [](const proxy::WorkerReport& worker) {
         uint64_t most = 0;
         for (const proxy::PoolReport& pool : worker.pools)
           most = std::max<uint64_t>(most, pool.clients_waiting);
         return most;
       });
     },
     [](const Facts& facts) -> Amount {
       return most_of_workers(facts, [](const auto& worker) { return worker.clients_waiting_max; });
     },
     "too_many_waiting"},
    {"pool.max_prepared_statements",
     [](const Facts& facts) -> Amount {
       return most_of_servers(facts, [](const auto& server) { return server.prepared_statements; });
     },
     unknown, ""},
    {"limits.max_client_prepared_statements",
     [](const Facts& facts) -> Amount {
       return most_of_clients(facts, [](const auto& client) { return client.prepared_statements; });
     },
     unknown, ""},
    {"limits.max_client_prepared_bytes", unknown, unknown, ""},
    {"limits.max_statement_bytes", unknown, unknown, ""},
    {"limits.max_held_bytes", unknown, unknown, ""},
    {"limits.max_replay_bytes", unknown, unknown, ""},
    {"limits.max_pipeline_messages",
     [](const Facts& facts) -> Amount {
       return most_of_clients(facts, [](const auto& client) { return client.owed_replies; });
     },
     unknown, ""},
    {"limits.client_buffer_bytes",
     [](const Facts& facts) -> Amount {
       return most_of_clients(facts, [](const auto& client) { return client.unsent_bytes; });
     },
     unknown, ""},
    {"limits.server_buffer_bytes",
     [](const Facts& facts) -> Amount {
       return most_of_servers(facts, [](const auto& server) { return server.unsent_bytes; });
     },
     unknown, ""},
    {"limits.shape_cache_bytes",
     [](const Facts& facts) -> Amount {
       return most_of_workers(facts, [](const auto& worker) { return worker.shape_cache.bytes; });
     },
     unknown, ""},
    {"limits.statement_cache_bytes",
     [](const Facts& facts) -> Amount {
       return most_of_workers(facts, [](const auto& worker) { return worker.statement_cache_bytes; });
     },
     unknown, ""},
    {"mosaic.event_history", [](const Facts& facts) -> Amount { return facts.events_kept; }, unknown, ""},
    {"mosaic.log_buffer", unknown, unknown, "log_lines_lost"},
    {"mosaic.log_rate_limit", unknown, unknown, "events_left_out"},
    {"mosaic.log_min_duration", unknown, unknown, "slow_statement"},
    {"limits.query_timeout", unknown, unknown, "query_timeout"},
    {"limits.idle_transaction_timeout", unknown, unknown, "idle_transaction_timeout"},
    {"limits.client_idle_timeout", unknown, unknown, "client_idle_timeout"},
    {"limits.client_login_timeout", unknown, unknown, "client_login_timeout"},
    {"pool.query_wait_timeout", unknown, unknown, "query_wait_timeout"},
    {"pool.server_connect_timeout", unknown, unknown, "server_connect_timeout"},
    {"pool.cancel_wait_timeout", unknown, unknown, "cancel_wait_timeout"},
};

ViewCell amount_cell(const Amount& amount) { return amount ? cell(*amount) : std::nullopt; }

}  // namespace

ViewTable show_limits(const ViewContext& context) {
  const auto config = context.backend.config();
  Facts facts{context.backend.report(
                  {.clients = true, .servers = true, .statements = true, .is_of_one_instant = true}),
              context.state.clients.list(), context.state.clients.most(),
              context.backend.events->kept().size(), context.backend.events->counts()};
  ViewTable table{columns({"name", "value", "used#", "used_max#", "hits#"}), {}};
  for (const Limit& limit : kLimits) {
    const auto value = config->values.find(std::string(limit.key));
    ViewRow cells = row(limit.key.substr(limit.key.find('.') + 1),
                        value == config->values.end() ? std::string() : plain(value->second));
    cells.push_back(amount_cell(limit.used(facts)));
    cells.push_back(amount_cell(limit.used_max(facts)));
    const auto hits = facts.events.find(limit.event);
    cells.push_back(limit.event.empty() ? std::nullopt
                                        : cell(hits == facts.events.end() ? uint64_t{0} : hits->second));
    table.rows.push_back(std::move(cells));
  }
  // Not of the configuration: connections of clients for which the limit of open files (ulimit -n) has room.
  table.rows.push_back(row("open_files", std::to_string(facts.report.connections_max),
                           facts.report.connections, std::nullopt, std::nullopt));
  return table;
}

}  // namespace mosaic::admin
