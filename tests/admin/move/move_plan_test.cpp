#include "admin/move/move_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace mosaic::admin {
namespace {

std::vector<PlannedShard> shards_of(const std::vector<std::pair<std::string, uint64_t>>& placed) {
  std::vector<PlannedShard> shards;
  for (const auto& [node, weight] : placed)
    shards.push_back({routing::ShardId{static_cast<uint32_t>(shards.size())}, node, weight, true});
  return shards;
}

NodeWeights after(const std::vector<PlannedShard>& shards, const std::vector<std::string>& nodes,
                  const std::vector<PlannedMove>& moves) {
  NodeWeights weights = weights_of(shards, nodes);
  for (const PlannedMove& move : moves) {
    if (weights.contains(move.source)) weights[move.source] -= move.weight;
    weights[move.target] += move.weight;
  }
  return weights;
}

TEST(MovePlan, drains_a_node_to_those_that_have_least) {
  const auto shards = shards_of({{"a", 5}, {"a", 9}, {"b", 8}, {"a", 1}, {"c", 1}});
  const auto moves = plan_drain(shards, "a", {"b", "c"});
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[0].shard.value, 1u);  // the heaviest first
  EXPECT_EQ(moves[0].target, "c");
  EXPECT_EQ(after(shards, {"a", "b", "c"}, moves), (NodeWeights{{"a", 0}, {"b", 13}, {"c", 11}}));
}

TEST(MovePlan, leaves_alone_what_is_being_moved) {
  auto shards = shards_of({{"a", 1}, {"a", 1}, {"a", 1}, {"a", 1}});
  for (PlannedShard& shard : shards) shard.may_move = shard.shard.value > 1;
  EXPECT_EQ(plan_drain(shards, "a", {"b"}).size(), 2u);
  for (const PlannedMove& move : plan_even(shards, {"a", "b"}, 0)) EXPECT_GT(move.shard.value, 1u);
}

TEST(MovePlan, makes_counts_even_with_as_few_moves_as_can_be) {
  std::vector<std::pair<std::string, uint64_t>> placed;
  for (int i = 0; i < 512; ++i) placed.emplace_back(i % 2 == 0 ? "a" : "b", 1);
  const auto shards = shards_of(placed);
  const auto moves = plan_even(shards, {"a", "b", "c"}, 0);
  EXPECT_EQ(moves.size(), 170u);
  EXPECT_EQ(after(shards, {"a", "b", "c"}, moves), (NodeWeights{{"a", 171}, {"b", 171}, {"c", 170}}));
}

TEST(MovePlan, does_nothing_where_nothing_would_be_better) {
  EXPECT_TRUE(plan_even(shards_of({{"a", 1}, {"b", 1}, {"a", 1}}), {"a", "b"}, 0).empty());
  EXPECT_TRUE(
      plan_even(shards_of({{"a", 100}, {"b", 0}}), {"a", "b"}, 0).empty());  // it would only turn round
  EXPECT_TRUE(plan_even(shards_of({{"a", 100}, {"a", 4}, {"b", 100}}), {"a", "b"}, 0.05).empty());
  EXPECT_TRUE(plan_even({}, {"a", "b"}, 0).empty());
  EXPECT_TRUE(plan_even({}, {}, 0).empty());
}

TEST(MovePlan, brings_any_weights_closer_and_moves_no_shard_twice) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::vector<std::string> nodes{"a", "b", "c", "d"};
    std::vector<std::pair<std::string, uint64_t>> placed;
    for (int i = 0; i < 100; ++i) placed.emplace_back(nodes[random() % 4], uint64_t{1} << random() % 20);
    const auto shards = shards_of(placed);
    const auto moves = plan_even(shards, nodes, 0.05);
    std::set<uint32_t> moved;
    for (const PlannedMove& move : moves) {
      EXPECT_TRUE(moved.insert(move.shard.value).second);
      EXPECT_EQ(move.source, placed[move.shard.value].first);
    }
    const auto spread = [](const NodeWeights& weights) {
      uint64_t least = UINT64_MAX, most = 0;
      for (const auto& [node, weight] : weights)
        least = std::min(least, weight), most = std::max(most, weight);
      return most - least;
    };
    EXPECT_LE(spread(after(shards, nodes, moves)), spread(weights_of(shards, nodes)));
  }
}

}  // namespace
}  // namespace mosaic::admin
