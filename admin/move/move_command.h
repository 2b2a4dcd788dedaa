#pragma once
// What an operator says about moves, understood. Pure.
//
//   [CHECK] MOVE SHARD n TO node [WITH (option = value, ...)]
//   MOVE SHARDS 1-20,40 TO node [WITH (...)] | DRAIN NODE node [WITH (...)]
//   PAUSE | RESUME | CANCEL | UNDO | FINISH | WAIT MOVE n

#include <string>
#include <string_view>
#include <vector>

#include "admin/move/move_row.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

struct MoveCommand {
  enum class Kind : uint8_t { kMove, kCheck, kDrain, kPause, kResume, kCancel, kUndo, kFinish, kWait };
  Kind kind = Kind::kMove;
  std::vector<routing::ShardId> shards;  // kMove, kCheck
  std::string node;                      // kMove, kCheck: to; kDrain: from
  MoveOptions options;
  uint64_t move = 0;        // the others
  bool is_dry_run = false;  // kDrain
};

// "1-20,40": in their order. Errors: what is no list of shards.
routing::Result<std::vector<routing::ShardId>> parse_shards(std::string_view text);
// One option of WITH. Errors: unknown, or no such value.
routing::Status set_option(std::string_view name, std::string_view value, MoveOptions& options);
// "MOVE SHARD", as the tag of an answer.
std::string_view to_text(MoveCommand::Kind kind);

}  // namespace mosaic::admin
