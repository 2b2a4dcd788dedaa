#include "admin/move/move_plan.h"

#include <algorithm>

namespace mosaic::admin {

namespace {

bool is_lighter(const NodeWeights::value_type& a, const NodeWeights::value_type& b) {
  return a.second < b.second;
}

}  // namespace

NodeWeights weights_of(const std::vector<PlannedShard>& shards, const std::vector<std::string>& nodes) {
  NodeWeights weights;
  for (const std::string& node : nodes) weights[node] = 0;
  for (const PlannedShard& shard : shards) {
    if (const auto at = weights.find(shard.node); at != weights.end()) at->second += shard.weight;
  }
  return weights;
}

std::vector<PlannedMove> plan_drain(const std::vector<PlannedShard>& shards, const std::string& node,
                                    const std::vector<std::string>& others) {
  NodeWeights weights = weights_of(shards, others);
  std::vector<PlannedMove> moves;
  for (const PlannedShard& shard : shards) {
    if (shard.node == node && shard.may_move) moves.push_back({shard.shard, node, "", shard.weight});
  }
  std::stable_sort(moves.begin(), moves.end(),
                   [](const PlannedMove& a, const PlannedMove& b) { return a.weight > b.weight; });
  for (PlannedMove& move : moves) {
    const auto lightest = std::min_element(weights.begin(), weights.end(), is_lighter);
    move.target = lightest->first;
    lightest->second += move.weight;
  }
  return moves;
}

std::vector<PlannedMove> plan_even(const std::vector<PlannedShard>& shards,
                                   const std::vector<std::string>& nodes, double tolerance) {
  std::vector<PlannedMove> moves;
  if (nodes.empty()) return moves;
  NodeWeights weights = weights_of(shards, nodes);
  std::vector<PlannedShard> left = shards;
  uint64_t sum = 0;
  for (const auto& [node, weight] : weights) sum += weight;
  const auto allowed =
      static_cast<uint64_t>(tolerance * static_cast<double>(sum) / static_cast<double>(weights.size()));
  while (true) {
    const auto [lightest, heaviest] = std::minmax_element(weights.begin(), weights.end(), is_lighter);
    const uint64_t difference = heaviest->second - lightest->second;
    if (difference <= allowed) return moves;
    // Half of the difference would make them equal; less than all of it brings them closer.
    PlannedShard* best = nullptr;
    uint64_t best_distance = 0;
    for (PlannedShard& shard : left) {
      if (shard.node != heaviest->first || !shard.may_move || shard.weight == 0 || shard.weight >= difference)
        continue;
      const uint64_t twice = 2 * shard.weight;
      const uint64_t distance = twice > difference ? twice - difference : difference - twice;
      if (best == nullptr || distance < best_distance) best = &shard, best_distance = distance;
    }
    if (best == nullptr) return moves;
    moves.push_back({best->shard, heaviest->first, lightest->first, best->weight});
    heaviest->second -= best->weight;
    lightest->second += best->weight;
    best->node = lightest->first;
    best->may_move = false;
  }
}

}  // namespace mosaic::admin
