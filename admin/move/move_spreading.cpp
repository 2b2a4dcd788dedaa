// DRAIN NODE and REBALANCE: a plan of moves from where shards are, what they weigh and which nodes may have
// some; said first, then begun.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "admin/catalog/shard_sizes.h"
#include "admin/move/move_plan.h"
#include "admin/move/move_service.h"
#include "admin/move/move_texts.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

namespace {

// By size or heat, nodes that differ by less are even.
constexpr double kTolerance = 0.05;

struct Placement {
  std::vector<PlannedShard> shards;
  std::set<std::string> nodes;     // in use
  std::vector<std::string> homes;  // of them: may have shards
};

Result<Placement> read_placement(MoveStore& store, const Config& config) {
  Placement placement;
  const std::string& schema = config.catalog.schema;
  auto nodes = store.connection().query(fmt::format("SELECT name FROM {}.nodes ORDER BY 1", schema));
  if (!nodes) return nodes.error();
  for (int row = 0; row < nodes->count(); ++row) {
    const std::string name(nodes->text(row, 0));
    const NodeConfig* node = config.find_node(name);
    if (node == nullptr) continue;
    placement.nodes.insert(name);
    if (node->has_shards) placement.homes.push_back(name);
  }
  auto moves = store.list(true);
  if (!moves) return moves.error();
  auto shards = store.connection().query(fmt::format("SELECT shard, node FROM {}.shards ORDER BY 1", schema));
  if (!shards) return shards.error();
  for (int row = 0; row < shards->count(); ++row)
    placement.shards.push_back({ShardId{static_cast<uint32_t>(shards->integer(row, 0))},
                                std::string(shards->text(row, 1)), 1, true});
  for (const MoveRow& move : *moves) {
    for (PlannedShard& shard : placement.shards) {
      if (shard.shard != move.shard) continue;
      shard.may_move = false;
      const bool is_coming_back = move.options.is_rehearsal || move.state == MoveState::kAborting ||
                                  move.state == MoveState::kUndoing || move.state == MoveState::kUndone;
      shard.node = is_coming_back ? move.source : move.target;
    }
  }
  return placement;
}

Status weigh(const MoveCommand& command, const Config& config, const StopSignal& stop, Placement& placement) {
  if (command.weight == MoveCommand::Weight::kCount) return {};
  if (command.weight == MoveCommand::Weight::kHeat) {
    if (command.heat.empty())
      return Error{routing::sqlstate::kObjectInUse, "no shard has had a statement in the last 10 minutes", "",
                   "heat is what this proxy has counted: ask on the console of one that has clients, or "
                   "REBALANCE BY size"};
    for (PlannedShard& shard : placement.shards) {
      const auto at = command.heat.find(shard.shard.value);
      shard.weight = at == command.heat.end() ? 0 : at->second;
    }
    return {};
  }
  ShardNodes nodes;
  for (const PlannedShard& shard : placement.shards) nodes[shard.shard.value] = shard.node;
  const auto sizes = read_shard_sizes(config, nodes, &stop);
  size_t unknown = 0;
  for (PlannedShard& shard : placement.shards) {
    const auto at = sizes.find(shard.shard.value);
    unknown += at == sizes.end() && shard.may_move ? 1 : 0;
    shard.weight = at == sizes.end() ? 0 : at->second.bytes;
  }
  if (unknown == 0) return {};
  return Error{routing::sqlstate::kConnectionFailure,
               fmt::format("the size of {} shards is not known", unknown), "a node does not answer",
               "SHOW NODES tells which; REBALANCE without BY size needs no sizes"};
}

std::string weight_text(MoveCommand::Weight weight, uint64_t value) {
  switch (weight) {
    case MoveCommand::Weight::kSize:
      return size_text(value);
    case MoveCommand::Weight::kHeat:
      return fmt::format("{:.1f} s of work", static_cast<double>(value) / 1e6);
    case MoveCommand::Weight::kCount:
      break;
  }
  return fmt::format("{} shard{}", value, value == 1 ? "" : "s");
}

// Before and behind it, node by node; then what goes where.
void say_plan(const MoveCommand& command, const Placement& placement, const std::vector<PlannedMove>& moves,
              const Say& say) {
  const std::vector<std::string> nodes(placement.nodes.begin(), placement.nodes.end());
  const NodeWeights before = weights_of(placement.shards, nodes);
  NodeWeights after = before;
  for (const PlannedMove& move : moves) {
    after[move.source] -= move.weight;
    after[move.target] += move.weight;
  }
  size_t width = 0;
  for (const std::string& node : nodes) width = std::max(width, node.size());
  for (const std::string& node : nodes)
    say(fmt::format("{:<{}}  {:>14}  ->  {:>14}", node, width, weight_text(command.weight, before.at(node)),
                    weight_text(command.weight, after.at(node))));
  if (!command.is_dry_run) return;  // they are told as they begin
  const bool has_weight = command.weight != MoveCommand::Weight::kCount;
  std::vector<std::string> lines;
  for (const PlannedMove& move : moves)
    lines.push_back(fmt::format("shard {} from {} to {}{}", move.shard.value, move.source, move.target,
                                has_weight ? ", " + weight_text(command.weight, move.weight) : ""));
  say_some(lines, say);
}

}  // namespace

Status MoveService::spread(const MoveCommand& command, const Say& say, const StopSignal& stop,
                           std::vector<uint64_t>* begun) {
  const auto config = config_();
  auto store = MoveStore::open(*config, &stop);
  if (!store) return store.error();
  auto placement = read_placement(*store, *config);
  if (!placement) return placement.error();
  std::vector<PlannedMove> plan;
  if (command.kind == MoveCommand::Kind::kDrain) {
    if (!placement->nodes.contains(command.node))
      return Error{routing::sqlstate::kUndefinedObject,
                   fmt::format("node \"{}\" is not in use", command.node), "",
                   "SHOW NODES lists those that are"};
    std::vector<std::string> others = placement->homes;
    std::erase(others, command.node);
    if (others.empty())
      return Error{routing::sqlstate::kObjectInUse,
                   fmt::format("there is no other node than {} for its shards", command.node), "",
                   "ADD NODE prepares one"};
    plan = plan_drain(placement->shards, command.node, others);
    const auto coming = std::count_if(
        placement->shards.begin(), placement->shards.end(),
        [&](const PlannedShard& shard) { return shard.node == command.node && !shard.may_move; });
    if (coming > 0)
      say(fmt::format("{} shards are on their way to {}: SHOW MOVES lists them", coming, command.node));
    if (plan.empty() && coming == 0) say(fmt::format("node {} has no shards", command.node));
  } else {
    if (Status status = weigh(command, *config, stop, *placement); !status) return status;
    const double tolerance = command.weight == MoveCommand::Weight::kCount ? 0 : kTolerance;
    plan = plan_even(placement->shards, placement->homes, tolerance);
    if (plan.empty()) say("the nodes are even: nothing is to be moved");
  }
  if (plan.empty()) return {};
  say_plan(command, *placement, plan, say);
  if (command.is_dry_run) return {};
  std::vector<std::pair<ShardId, std::string>> moves;
  for (const PlannedMove& move : plan) moves.emplace_back(move.shard, move.target);
  return begin(moves, command.options, say, begun);
}

}  // namespace mosaic::admin
