#pragma once
// What an operator says about moves, understood. Pure.
//
//   [CHECK | REHEARSE] MOVE SHARD n TO node [WITH (option = value, ...)]
//   MOVE SHARDS 1-20,40 TO node [WITH (...)]
//   DRAIN NODE node [DRY RUN] [WITH (...)] | REBALANCE [DRY RUN] [BY count | size | heat] [WITH (...)]
//   PAUSE | RESUME | CANCEL | UNDO | FINISH MOVE n | WAIT MOVE n | WAIT MOVES [1-20,40]

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "admin/move/move_row.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

struct MoveCommand {
  enum class Kind : uint8_t {
    kMove,
    kCheck,
    kRehearse,
    kDrain,
    kRebalance,
    kPause,
    kResume,
    kCancel,
    kUndo,
    kFinish,
    kWait,
  };
  enum class Weight : uint8_t { kCount, kSize, kHeat };
  Kind kind = Kind::kMove;
  std::vector<routing::ShardId> shards;  // kMove, kCheck, kRehearse
  std::string node;                      // of those: to; kDrain: from
  MoveOptions options;
  uint64_t move = 0;                  // the others but kWait
  std::vector<uint64_t> moves;        // kWait; none: all that are under way
  bool is_dry_run = false;            // kDrain, kRebalance
  Weight weight = Weight::kCount;     // kRebalance
  std::map<uint32_t, uint64_t> heat;  // of each shard, as who passes the command on knows it
};

// "1-20,40": in their order. `what`: "shards", for the error. Errors: what is no such list.
routing::Result<std::vector<uint32_t>> parse_numbers(std::string_view text, std::string_view what);
// One option of WITH. Errors: unknown, or no such value.
routing::Status set_option(std::string_view name, std::string_view value, MoveOptions& options);
// "MOVE SHARD", as the tag of an answer.
std::string_view to_text(MoveCommand::Kind kind);

}  // namespace mosaic::admin
