#pragma once
// The two nodes of a move, as its mover sees them: connections for its own work, opened when they are needed
// and again when they were lost. One thread.

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "admin/config/config.h"
#include "admin/move/move_row.h"
#include "admin/postgres/connection.h"
#include "admin/stop_signal.h"

namespace mosaic::admin {

enum class Side : uint8_t { kSource, kTarget };

class MoveNodes {
 public:
  // Everything outlives it. `interrupt` ends every wait.
  MoveNodes(const Config& config, const MoveRow& row, const StopSignal& interrupt)
      : config_(config), row_(row), interrupt_(interrupt) {}

  const NodeConfig& node(Side side) const;
  ConnectionTarget target(Side side) const;
  // A connection that is used again; forget() it when it has failed.
  routing::Result<Connection*> connection(Side side);
  void forget() { source_.reset(), target_.reset(); }
  // One more, for work of its own. `options` and `limit` (0: none) as in Connection.
  routing::Result<Connection> open(Side side, const std::string& options = "",
                                   bool is_replication = false) const;
  const StopSignal& interrupt() const { return interrupt_; }

 private:
  static constexpr std::chrono::milliseconds kConnectLimit{5'000};

  const Config& config_;
  const MoveRow& row_;
  const StopSignal& interrupt_;
  std::optional<Connection> source_, target_;
};

}  // namespace mosaic::admin
