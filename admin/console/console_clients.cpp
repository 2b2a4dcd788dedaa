#include "admin/console/console_clients.h"

#include <algorithm>

namespace mosaic::admin {

void ConsoleClients::add(const proxy::ConsoleClient& client) {
  proxy::ClientReport report;
  report.user = client.user;
  report.database = "pgbouncer";  // whichever of its two names the client gave
  report.state = "idle";
  report.address = client.address;
  report.port = client.port;
  report.connect_time_us = client.connected_us;
  report.request_time_us = client.connected_us;
  report.application_name = client.application_name;
  report.id = client.id;
  const std::lock_guard lock(mutex_);
  clients_[client.id] = std::move(report);
  most_ = std::max(most_, clients_.size());
}

void ConsoleClients::remove(uint64_t id) {
  const std::lock_guard lock(mutex_);
  clients_.erase(id);
}

void ConsoleClients::set_active(uint64_t id, bool is_active, uint64_t request_us) {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  at->second.state = is_active ? "active" : "idle";
  if (is_active) at->second.request_time_us = request_us;
}

std::vector<proxy::ClientReport> ConsoleClients::list() const {
  std::vector<proxy::ClientReport> list;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, client] : clients_) list.push_back(client);
  return list;
}

size_t ConsoleClients::most() const {
  const std::lock_guard lock(mutex_);
  return most_;
}

}  // namespace mosaic::admin
