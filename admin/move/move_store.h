#pragma once
// The moves in the catalog, over one connection. Every change says which lease it is made under, so that a
// mover that another has taken over from changes nothing (SQLSTATE MZ002). Blocking; one thread at a time.

#include <optional>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/move/move_row.h"
#include "admin/postgres/connection.h"

namespace mosaic::admin {

class MoveStore {
 public:
  // As the owner of the catalog.
  static routing::Result<MoveStore> open(const Config& config, const StopSignal* stop);

  Connection& connection() { return connection_; }
  // Adds what a catalog of an earlier version lacks.
  routing::Status prepare();

  // Errors: another move of the shard is under way; the shard is there already; no such shard or node.
  routing::Result<uint64_t> create(routing::ShardId shard, const std::string& target,
                                   const MoveOptions& options);
  // In the order of their numbers. `only_open`: those that have not ended.
  routing::Result<std::vector<MoveRow>> list(bool only_open);
  routing::Result<MoveRow> find(uint64_t id);
  // Nothing: another mover has it, or it has ended.
  routing::Result<std::optional<MoveRow>> claim(uint64_t id, const std::string& mover, uint32_t lease_ms);
  routing::Status renew(const MoveRow& row, uint32_t lease_ms);  // by its mover
  // What was asked for under the row's lease, and may still be about to happen, can not happen any more. Sets
  // the row's lease and state.
  routing::Status take_lease_anew(MoveRow& row);
  routing::Status give_up(const MoveRow& row);  // the lease
  // What the map says.
  routing::Result<std::string> node_of(routing::ShardId shard);
  // An operator's.
  // What the move has cost the clients of a proxy.
  routing::Status set_counts(uint64_t id, const std::string& proxy, const proxy::MovingCounts& counts);
  routing::Status set_wish(uint64_t id, const std::string& wish);

  // Writes the row's facts, progress and message, and its state as `state`.
  routing::Status save(const MoveRow& row, MoveState state);
  routing::Status save_progress(const MoveRow& row);
  // New transactions that may write to the shard wait, for so long or until it is released.
  routing::Status hold(const MoveRow& row, uint32_t for_ms);
  routing::Status release(const MoveRow& row);
  // Changes the map and the state in one transaction.
  routing::Status flip(const MoveRow& row, MoveState to_state, const std::string& to_node);

 private:
  MoveStore(Connection connection, std::string schema);
  routing::Result<std::vector<MoveRow>> read(const std::string& condition, const Connection::Values& values);
  std::string sql(std::string_view statement) const;

  Connection connection_;
  std::string schema_;
};

}  // namespace mosaic::admin
