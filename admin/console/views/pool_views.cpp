#include <algorithm>
#include <map>
#include <set>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

constexpr const char* kConsoleDatabase = "pgbouncer";

// All pools of one user, over nodes and workers.
std::map<std::string, proxy::PoolReport> pools_by_user(const proxy::Report& report) {
  std::map<std::string, proxy::PoolReport> users;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::PoolReport& pool : worker.pools) {
      proxy::PoolReport& sum = users[pool.user];
      sum.clients_active += pool.clients_active;
      sum.clients_waiting += pool.clients_waiting;
      sum.clients_cancel_active += pool.clients_cancel_active;
      sum.clients_cancel_waiting += pool.clients_cancel_waiting;
      sum.servers_active += pool.servers_active;
      sum.servers_idle += pool.servers_idle;
      sum.servers_login += pool.servers_login;
      sum.servers_being_canceled += pool.servers_being_canceled;
      sum.longest_wait_us = std::max(sum.longest_wait_us, pool.longest_wait_us);
    }
  }
  return users;
}

uint64_t count_servers(const proxy::Report& report) {
  uint64_t count = 0;
  for (const auto& [user, pool] : pools_by_user(report)) count += servers_of(pool);
  return count;
}

}  // namespace

ViewTable show_pools(const ViewContext& context) {
  const auto config = context.backend.config();
  const proxy::Report report = context.backend.report({.is_of_one_instant = true});
  ViewTable table{columns({"database", "user", "cl_active#", "cl_waiting#", "cl_active_cancel_req#",
                           "cl_waiting_cancel_req#", "sv_active#", "sv_active_cancel#", "sv_being_canceled#",
                           "sv_idle#", "sv_used#", "sv_tested#", "sv_login#", "maxwait#", "maxwait_us#",
                           "pool_mode", "load_balance_hosts"}),
                  {}};
  for (const auto& [user, pool] : pools_by_user(report))
    table.rows.push_back(row(config->proxy.database, user, pool.clients_active, pool.clients_waiting,
                             pool.clients_cancel_active, pool.clients_cancel_waiting, pool.servers_active,
                             pool.clients_cancel_active, pool.servers_being_canceled, pool.servers_idle, 0, 0,
                             pool.servers_login, pool.longest_wait_us / kMicroseconds,
                             pool.longest_wait_us % kMicroseconds, "transaction", std::nullopt));
  table.rows.push_back(row(kConsoleDatabase, kConsoleDatabase, context.state.clients.list().size(), 0, 0, 0,
                           0, 0, 0, 0, 0, 0, 0, 0, 0, "statement", std::nullopt));
  return table;
}

ViewTable show_databases(const ViewContext& context) {
  const auto config = context.backend.config();
  const proxy::ProxySettings& settings = config->proxy;
  const proxy::Report report = context.backend.report({.clients = true, .is_of_one_instant = true});
  uint64_t clients = 0;
  for (const proxy::WorkerReport& worker : report.workers) clients += worker.clients.size();
  ViewTable table{columns({"name", "host", "port#", "database", "force_user", "pool_size#", "min_pool_size#",
                           "reserve_pool_size#", "server_lifetime#", "pool_mode", "load_balance_hosts",
                           "max_connections#", "current_connections#", "max_client_connections#",
                           "current_client_connections#", "paused#", "disabled#"}),
                  {}};
  // One database in front, many nodes behind: host and port would be those of one node, and are left out.
  table.rows.push_back(row(settings.database, std::nullopt, settings.listen_port, settings.database,
                           std::nullopt, settings.pool.default_pool_size, 0, 0,
                           settings.pool.server_lifetime_ms / 1000, "transaction", std::nullopt, 0,
                           count_servers(report), settings.max_client_conn, clients, 0, 0));
  table.rows.push_back(row(kConsoleDatabase, std::nullopt, settings.listen_port, kConsoleDatabase,
                           kConsoleDatabase, 0, 0, 0, 0, "statement", std::nullopt, 0, 0,
                           config->max_console_clients, context.state.clients.list().size(), 0, 0));
  return table;
}

ViewTable show_users(const ViewContext& context) {
  const auto config = context.backend.config();
  const proxy::Report report =
      context.backend.report({.clients = true, .users = true, .is_of_one_instant = true});
  // With those of the auth file who are not here.
  std::map<std::string, uint64_t> clients;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const std::string& user : worker.users) clients.try_emplace(user, 0);
    for (const proxy::ClientReport& client : worker.clients) {
      if (client.state != "login") ++clients[client.user];
    }
  }
  for (const proxy::ClientReport& client : context.state.clients.list()) ++clients[client.user];
  auto pools = pools_by_user(report);
  for (const auto& [user, count] : clients) pools.try_emplace(user);
  ViewTable table{
      columns({"name", "pool_size#", "reserve_pool_size#", "pool_mode", "max_user_connections#",
               "current_connections#", "max_user_client_connections#", "current_client_connections#"}),
      {}};
  for (const auto& [user, pool] : pools)
    table.rows.push_back(row(user, config->proxy.pool.default_pool_size, 0, "transaction", 0,
                             servers_of(pool), 0, clients[user]));
  return table;
}

ViewTable show_lists(const ViewContext& context) {
  const proxy::Report report = context.backend.report({.clients = true, .is_of_one_instant = true});
  uint64_t used_clients = context.state.clients.list().size(), login_clients = 0, idle_servers = 0;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::ClientReport& client : worker.clients)
      ++(client.state == "login" ? login_clients : used_clients);
  }
  const auto pools = pools_by_user(report);
  for (const auto& [user, pool] : pools) idle_servers += pool.servers_idle;
  ViewTable table{columns({"list", "items#"}), {}};
  table.rows = {row("databases", 2),
                row("users", pools.size()),
                row("peers", 0),
                row("pools", pools.size() + 1),  // with the console's
                row("peer_pools", 0),
                row("free_clients", 0),
                row("used_clients", used_clients),
                row("login_clients", login_clients),
                row("free_servers", idle_servers),
                row("used_servers", count_servers(report) - idle_servers),
                row("dns_names", 0),
                row("dns_zones", 0),
                row("dns_queries", 0),
                row("dns_pending", 0)};
  return table;
}

}  // namespace mosaic::admin
