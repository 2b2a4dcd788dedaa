#include <fmt/format.h>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

// An identity that PgBouncer prints as a pointer; ours are numbers.
ViewCell id_cell(char kind, uint64_t id) {
  if (id == 0) return cell("");
  return fmt::format("{}{:x}", kind, id);
}

// Behind PgBouncer's columns come ours.
std::vector<ViewColumn> connection_columns() {
  return columns({"type",         "user",        "database",   "replication",      "state",
                  "addr",         "port#",       "local_addr", "local_port#",      "connect_time",
                  "request_time", "wait#",       "wait_us#",   "close_needed#",    "ptr",
                  "link",         "remote_pid#", "tls",        "application_name", "prepared_statements#",
                  "id#",          "node",        "shard#",     "worker#"});
}

ViewCell node_cell(const routing::CatalogSnapshot& catalog, int node) {
  if (node < 0 || static_cast<size_t>(node) >= catalog.node_names().size()) return std::nullopt;
  return catalog.node_names()[static_cast<size_t>(node)];
}

}  // namespace

ViewTable show_clients(const ViewContext& context) {
  const auto config = context.backend.config();
  const auto catalog = context.backend.catalog();
  ViewTable table{connection_columns(), {}};
  const auto add = [&](const proxy::ClientReport& client, bool is_of_console) {
    ViewRow cells = row("C", client.user, client.database, "none", client.state, client.address, client.port,
                        config->proxy.listen_address, config->proxy.listen_port);
    cells.push_back(time_cell(client.connect_time_us));
    cells.push_back(time_cell(client.request_time_us));
    for (const uint64_t number :
         {client.wait_us / kMicroseconds, client.wait_us % kMicroseconds, uint64_t{0}})
      cells.push_back(cell(number));
    cells.push_back(id_cell('c', client.id));
    cells.push_back(id_cell('s', client.server_id));
    const ViewRow rest = row(0, "", client.application_name, client.prepared_statements, client.id);
    cells.insert(cells.end(), rest.begin(), rest.end());
    cells.push_back(node_cell(*catalog, client.node));
    cells.push_back(client.shard < 0 ? std::nullopt : cell(client.shard));
    cells.push_back(is_of_console ? std::nullopt : cell(client.worker));
    table.rows.push_back(std::move(cells));
  };
  for (const proxy::WorkerReport& worker : context.backend.report({.clients = true}).workers) {
    for (const proxy::ClientReport& client : worker.clients) add(client, false);
  }
  for (const proxy::ClientReport& client : context.state.clients.list()) add(client, true);
  return table;
}

ViewTable show_servers(const ViewContext& context) {
  const auto config = context.backend.config();
  const auto catalog = context.backend.catalog();
  ViewTable table{connection_columns(), {}};
  const proxy::Report report = context.backend.report({.servers = true, .is_of_one_instant = true});
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::ServerReport& server : worker.servers) {
      const pool::NodeAddress& node = config->proxy.nodes.at(server.node.value).address;
      ViewRow cells = row("S", server.user, server.database, "none", server.state, node.host, node.port,
                          server.local_address, server.local_port);
      cells.push_back(time_cell(server.connect_time_us));
      cells.push_back(time_cell(server.request_time_us));
      for (int i = 0; i < 3; ++i) cells.push_back(cell(0));
      cells.push_back(id_cell('s', server.id));
      cells.push_back(id_cell('c', server.client_id));
      const ViewRow rest =
          row(server.remote_pid, "", server.application_name, server.prepared_statements, server.id);
      cells.insert(cells.end(), rest.begin(), rest.end());
      cells.push_back(node_cell(*catalog, server.node.value));
      cells.push_back(server.shard < 0 ? std::nullopt : cell(server.shard));
      cells.push_back(cell(server.worker));
      table.rows.push_back(std::move(cells));
    }
  }
  return table;
}

// Narrow, and what is long comes last. Times in microseconds.
ViewTable show_activity(const ViewContext& context) {
  const auto catalog = context.backend.catalog();
  ViewTable table{columns({"id#", "user", "state", "waits_for", "node", "shard#", "wait_time#", "query_time#",
                           "xact_time#", "unsent#", "application_name", "statement"}),
                  {}};
  const proxy::Report report = context.backend.report({.clients = true, .statements = true});
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::ClientReport& client : worker.clients) {
      ViewRow cells = row(client.id, client.user, client.state, client.waits_for);
      cells.push_back(node_cell(*catalog, client.node));
      cells.push_back(client.shard < 0 ? std::nullopt : cell(client.shard));
      cells.push_back(cell(client.wait_us));
      cells.push_back(client.is_running ? cell(client.statement_us) : std::nullopt);
      cells.push_back(client.transaction_us == 0 ? std::nullopt : cell(client.transaction_us));
      const ViewRow rest = row(client.unsent_bytes, client.application_name, client.statement);
      cells.insert(cells.end(), rest.begin(), rest.end());
      table.rows.push_back(std::move(cells));
    }
  }
  return table;
}

}  // namespace mosaic::admin
