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
  // kProbe: to look while the other is amid a transaction.
  enum class Use : uint8_t { kWork, kProbe };
  // A connection that is used again; forget() them when one has failed.
  routing::Result<Connection*> connection(Side side, Use use = Use::kWork);
  void forget();
  // One more, for work of its own. `options` and `limit` (0: none) as in Connection.
  routing::Result<Connection> open(Side side, const std::string& options = "",
                                   bool is_replication = false) const;
  const StopSignal& interrupt() const { return interrupt_; }

 private:
  static constexpr std::chrono::milliseconds kConnectLimit{5'000};

  const Config& config_;
  const MoveRow& row_;
  const StopSignal& interrupt_;
  std::optional<Connection> kept_[2][2];  // by side and use
};

}  // namespace mosaic::admin
