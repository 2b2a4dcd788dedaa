#include "proxy/shard_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::CatalogSnapshot;
using routing::Error;

bool ShardGate::must_wait(const LeaseRequest& request, const CatalogSnapshot& catalog) {
  if (!request.shard) return false;
  const routing::ShardPlace& place = catalog.place_of(*request.shard);
  return (place.is_held && !request.is_read) ||
         (request.refused_at.value != 0 && place.epoch == request.refused_at);
}

std::optional<Error> ShardGate::wait(Client& client, const LeaseRequest& request, const Limits& limits,
                                     uint64_t now_ms) {
  if (waiting_.size() >= limits.clients_max) {
    ++counts_[request.shard->value].refused;
    return Error{routing::sqlstate::kTooManyConnections,
                 fmt::format("too many clients wait for shard {}, which is moving", request.shard->value),
                 fmt::format("max_waiting_clients = {}", limits.clients_max), "try again"};
  }
  if (request.refusals <= 1) {
    MovingCounts& counts = counts_[request.shard->value];
    ++counts.held;
    if (!by_shard_.contains(request.shard->value)) counts.longest_us = 0;
    client.first_ms_ = now_ms;
  }
  ++by_shard_[request.shard->value];
  client.gate_entry_ = waiting_.insert(waiting_.end(), {&client, request, now_ms});
  return std::nullopt;
}

void ShardGate::leave(Client& client) {
  const auto entry = std::exchange(client.gate_entry_, std::nullopt);
  if (!entry) return;
  const auto count = by_shard_.find((*entry)->request.shard->value);
  if (--count->second == 0) by_shard_.erase(count);
  waiting_.erase(*entry);
}

void ShardGate::let_go(Client& client, uint64_t now_ms) {
  uint64_t& longest_us = counts_[(*client.gate_entry_)->request.shard->value].longest_us;
  longest_us = std::max(longest_us, (now_ms - client.first_ms_) * 1000);
  leave(client);
  client.on_gate_open();
}

// Who goes on may come back here at once: only those who were here before are looked at.
void ShardGate::on_map(const CatalogSnapshot& catalog, uint64_t now_ms) {
  std::vector<Client*> free;
  for (const Client::Entry& entry : waiting_) {
    if (!must_wait(entry.request, catalog)) free.push_back(entry.client);
  }
  for (Client* client : free) {
    if (client->is_at_gate()) let_go(*client, now_ms);
  }
}

void ShardGate::on_tick(const CatalogSnapshot& catalog, const Limits& limits, uint64_t now_ms) {
  std::vector<Client*> free, late;
  for (const Client::Entry& entry : waiting_) {
    if (limits.wait_ms > 0 && now_ms - entry.client->first_ms_ > limits.wait_ms) {
      late.push_back(entry.client);
    } else if (!catalog.place_of(*entry.request.shard).is_held && now_ms - entry.since_ms >= kAskAgainMs) {
      free.push_back(entry.client);
    }
  }
  for (Client* client : late) {
    if (!client->is_at_gate()) continue;
    const uint32_t shard = (*client->gate_entry_)->request.shard->value;
    ++counts_[shard].refused;
    leave(*client);
    client->on_gate_failed(
        Error{routing::sqlstate::kWaitTimeout, fmt::format("shard {} is moving, and takes too long", shard),
              fmt::format("query_wait_timeout = {} s", static_cast<double>(limits.wait_ms) / 1000),
              "try again; SHOW MOVES on the console tells what it waits for"});
  }
  for (Client* client : free) {
    if (client->is_at_gate()) let_go(*client, now_ms);
  }
}

}  // namespace mosaic::proxy
