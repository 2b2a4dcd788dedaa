#include "admin/move/move_nodes.h"

#include <fmt/format.h>

#include "admin/catalog/node_connection.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;

const NodeConfig& MoveNodes::node(Side side) const {
  return *config_.find_node(side == Side::kSource ? row_.source : row_.target);
}

ConnectionTarget MoveNodes::target(Side side) const { return admin_target(node(side)); }

Result<Connection> MoveNodes::open(Side side, const std::string& options, bool is_replication) const {
  ConnectionTarget target = this->target(side);
  target.options = options;
  target.is_replication = is_replication;
  auto connection = Connection::open(target, {.connect = kConnectLimit, .query = {}, .stop = &interrupt_});
  if (connection) return connection;
  Error error = connection.error();
  error.message = fmt::format("node {}: {}", node(side).address.name, error.message);
  return error;
}

void MoveNodes::forget() {
  for (auto& of_side : kept_) {
    for (std::optional<Connection>& kept : of_side) kept.reset();
  }
}

Result<Connection*> MoveNodes::connection(Side side, Use use) {
  std::optional<Connection>& kept = kept_[static_cast<size_t>(side)][static_cast<size_t>(use)];
  if (!kept) {
    auto opened = open(
        side, "-c search_path=pg_catalog -c idle_in_transaction_session_timeout=0 -c statement_timeout=0");
    if (!opened) return opened.error();
    kept = std::move(*opened);
  }
  return &*kept;
}

}  // namespace mosaic::admin
