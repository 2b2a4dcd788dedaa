#pragma once
// How busy each node is by one worker's statements, and which of them is to begin what any may. One thread.

#include <cstdint>
#include <vector>

#include "pool/node_health.h"
#include "routing/ids.h"

namespace mosaic::pool {

class NodeLoads {
 public:
  // Nodes come at the end, and none goes.
  void set_nodes(NodeHealths healths) {
    healths_ = std::move(healths);
    leases_.resize(healths_.size());
    is_in_use_.resize(healths_.size());
  }
  void set_in_use(routing::NodeId node, bool is_in_use) { is_in_use_[node.value] = is_in_use; }
  // A client holds a connection to the node, or waits for one.
  void begin(routing::NodeId node) { ++leases_[node.value]; }
  void end(routing::NodeId node) { --leases_[node.value]; }

  // The least busy of those that are in use and up, `near` where there is a choice; `near` when there is
  // none.
  routing::NodeId choose(routing::NodeId near) const {
    if (healths_.empty()) return near;
    routing::NodeId chosen = near;
    bool is_found = is_good(near.value);
    for (uint16_t node = 0; node < healths_.size(); ++node) {
      if (is_found && leases_[chosen.value] == 0) break;
      if (!is_good(node)) continue;
      if (!is_found || leases_[node] < leases_[chosen.value]) chosen.value = node;
      is_found = true;
    }
    return chosen;
  }
  // `wanted` as long as it is up, else as choose().
  routing::NodeId prefer(routing::NodeId wanted) const {
    return healths_.empty() || is_good(wanted.value) ? wanted : choose(wanted);
  }

 private:
  bool is_good(uint16_t node) const { return is_in_use_[node] && healths_[node]->is_up(); }

  NodeHealths healths_;
  std::vector<uint32_t> leases_;
  std::vector<bool> is_in_use_;
};

}  // namespace mosaic::pool
