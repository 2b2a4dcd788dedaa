#include "tests/simulation/fake_pool.h"

#include <fmt/format.h>

#include <algorithm>

namespace mosaic::simulation {

namespace {

template <typename Entries>
std::string to_text(const Entries& entries) {
  std::string text;
  for (const auto& [name, value] : entries) text += fmt::format("{}={};", name, value);
  return text.empty() ? "none" : text;
}

}  // namespace

FakePool::FakePool(const Rules& rules, pool::NameValuesTable& names, uint16_t nodes, size_t servers_each)
    : rules_(rules), names_(names) {
  for (uint16_t node = 0; node < nodes; ++node) {
    for (size_t i = 0; i < servers_each; ++i) servers_.push_back(make_server(node));
  }
}

std::unique_ptr<Server> FakePool::make_server(uint16_t node) {
  auto server = std::make_unique<Server>(rules_, node);
  server->memory.node.value = node;
  server->memory.settings = names_.empty();
  server->memory.parameters = names_.intern({{"server_version", "15"}});
  return server;
}

Server* FakePool::find_free(uint16_t node) {
  for (const auto& server : servers_) {
    // A late cancel must not hit the next client's statement.
    if (server->memory.node.value == node && server->holder == nullptr && server->pending_cancels == 0)
      return server.get();
  }
  return nullptr;
}

Server* FakePool::acquire(Link& link, uint16_t node) {
  if (is_waiting(link)) complain("a session waits for two leases");
  const bool others_wait =
      std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.node == node; });
  Server* server = others_wait ? nullptr : find_free(node);
  if (server == nullptr) {
    waiting_.push_back({&link, node});
    return nullptr;
  }
  server->holder = &link;
  ++leases_;
  return server;
}

void FakePool::stop_waiting(Link& link) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.link == &link; });
}

bool FakePool::is_waiting(const Link& link) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.link == &link; });
}

Link* FakePool::next_grant(Server*& server) {
  for (auto waiting = waiting_.begin(); waiting != waiting_.end(); ++waiting) {
    server = find_free(waiting->node);
    if (server == nullptr) continue;
    Link* link = waiting->link;
    waiting_.erase(waiting);
    server->holder = link;
    ++leases_;
    return link;
  }
  return nullptr;
}

void FakePool::give_back(Server& server) {
  check_rest(server);
  server.holder = nullptr;
  ++returns_;
}

void FakePool::discard(Server& server) {
  if (!server.model.complaint().empty()) complain(server.model.complaint());
  server = std::move(*make_server(server.memory.node.value));
  ++returns_;
}

void FakePool::check_rest(const Server& server) {
  if (!server.model.complaint().empty()) complain(server.model.complaint());
  if (!server.model.is_at_rest()) complain(fmt::format("returned in status {}", server.model.status()));
  const bool is_quiet = server.queued.is_empty() && server.to_server.is_empty() &&
                        server.server_input.is_empty() && server.to_proxy.is_empty() &&
                        server.partial.is_empty();
  if (!is_quiet) complain("returned with bytes under way");
  const auto& believed = server.memory.settings->entries();
  const auto& real = server.model.settings();
  const bool is_equal = std::equal(believed.begin(), believed.end(), real.begin(), real.end(),
                                   [](const auto& a, const auto& b) {
                                     std::string value = a.second.substr(1);  // behind the tag of its form
                                     std::erase(value, '\'');
                                     return a.first == b.first && value == b.second;
                                   });
  if (!is_equal)
    complain(fmt::format("its settings are {}, Mosaic believes {}; it was told:\n  {}", to_text(real),
                         to_text(believed), fmt::join(server.model.history(), "\n  ")));
  if (const std::string traces = server.model.traces(); !traces.empty()) {
    complain(fmt::format("the next client finds {}; it was told:\n  {}", traces,
                         fmt::join(server.model.history(), "\n  ")));
  }
  const size_t named = server.memory.statements.size() + server.memory.to_close.size();
  if (named != server.model.named_statements()) {
    complain(fmt::format("it has {} prepared statements, Mosaic believes in {}",
                         server.model.named_statements(), named));
  }
}

bool FakePool::is_at_rest() const {
  return waiting_.empty() && leases_ == returns_ &&
         std::all_of(servers_.begin(), servers_.end(), [](const auto& s) { return s->holder == nullptr; });
}

void FakePool::complain(std::string what) {
  if (complaint_.empty()) complaint_ = "server: " + std::move(what);
}

}  // namespace mosaic::simulation
