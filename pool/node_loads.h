#pragma once
// How busy each node is by one worker's statements, and which of them is to begin what any may. One thread.

#include <cstdint>
#include <vector>

#include "pool/node_health.h"
#include "routing/ids.h"

namespace mosaic::pool {

class NodeLoads {
 public:
  void set_nodes(NodeHealths healths) {
    healths_ = std::move(healths);
    leases_.resize(healths_.size());
  }
  // A client holds a connection to the node, or waits for one.
  void begin(routing::NodeId node) { ++leases_[node.value]; }
  void end(routing::NodeId node) { --leases_[node.value]; }

  // The least busy of those that are up, `near` where there is a choice; `near` when none is up.
  routing::NodeId choose(routing::NodeId near) const {
    if (healths_.empty()) return near;
    routing::NodeId chosen = near;
    bool is_found = healths_[near.value]->is_up();
    for (uint16_t node = 0; node < healths_.size(); ++node) {
      if (is_found && leases_[chosen.value] == 0) break;
      if (!healths_[node]->is_up()) continue;
      if (!is_found || leases_[node] < leases_[chosen.value]) chosen.value = node;
      is_found = true;
    }
    return chosen;
  }
  // `wanted` as long as it is up, else as choose().
  routing::NodeId prefer(routing::NodeId wanted) const {
    return healths_.empty() || healths_[wanted.value]->is_up() ? wanted : choose(wanted);
  }

 private:
  NodeHealths healths_;
  std::vector<uint32_t> leases_;
};

}  // namespace mosaic::pool
