#include <fmt/format.h>

#include <map>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

// Mosaic's clients, by the server process that works for them.
using ClientsByProcess = std::map<std::pair<std::string, int>, proxy::ClientReport>;

ClientsByProcess clients_by_process(const ViewContext& context) {
  const auto catalog = context.backend.catalog();
  const proxy::Report report = context.backend.report(
      {.clients = true, .servers = true, .statements = true, .is_of_one_instant = true});
  std::map<uint64_t, const proxy::ClientReport*> clients;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::ClientReport& client : worker.clients) clients[client.id] = &client;
  }
  ClientsByProcess by_process;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const proxy::ServerReport& server : worker.servers) {
      const auto client = clients.find(server.client_id);
      if (server.client_id == 0 || client == clients.end()) continue;
      by_process.emplace(std::pair(catalog->node_name(server.node), static_cast<int>(server.remote_pid)),
                         *client->second);
    }
  }
  return by_process;
}

}  // namespace

// Who blocks, and indented below it who waits for it; times in microseconds.
ViewTable show_blockers(const ViewContext& context) {
  ViewTable table{columns({"node", "process", "client#", "user", "state", "wait_time#", "xact_time#",
                           "waits_for", "application_name", "statement"}),
                  {}};
  const std::vector<NodeLocks> nodes = context.backend.locks();
  const ClientsByProcess clients = clients_by_process(context);
  for (const NodeLocks& node : nodes) {
    if (node.error) {
      table.rows.push_back(row(node.node, std::nullopt, std::nullopt, "", "not asked", std::nullopt,
                               std::nullopt, "", "", node.error->to_line()));
      continue;
    }
    for (const BlockingLine& line : blocking_tree(node.processes)) {
      const LockedProcess& process = node.processes[line.process];
      const auto client = clients.find({node.node, process.pid});
      const bool is_ours = client != clients.end();
      ViewRow cells = row(node.node, std::string(2 * line.depth, ' ') + std::to_string(process.pid));
      cells.push_back(is_ours ? cell(client->second.id) : std::nullopt);
      const ViewRow rest =
          row(process.user, process.state, process.wait_us, process.transaction_us, process.lock,
              is_ours ? client->second.application_name : process.application_name,
              is_ours && !client->second.statement.empty() ? client->second.statement : process.statement);
      cells.insert(cells.end(), rest.begin(), rest.end());
      table.rows.push_back(std::move(cells));
    }
  }
  return table;
}

}  // namespace mosaic::admin
