#include "admin/move/move_nodes.h"

#include <fmt/format.h>

#include "admin/catalog/node_connection.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;

namespace {

// What a role or a database may have been given otherwise (ALTER ROLE ... SET): no time-out ends what takes
// long, and values read on one node as they were written on the other, whatever each prefers.
const std::string kSettings =
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c "
    "idle_session_timeout=0 "
    "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c DateStyle=ISO "
    "-c IntervalStyle=postgres -c extra_float_digits=3 -c bytea_output=hex -c lc_monetary=C -c TimeZone=UTC "
    "-c standard_conforming_strings=on";

}  // namespace

const NodeConfig& MoveNodes::node(Side side) const {
  return *config_.find_node(side == Side::kSource ? row_.source : row_.target);
}

ConnectionTarget MoveNodes::target(Side side) const { return admin_target(node(side)); }

Result<Connection> MoveNodes::open(Side side, const std::string& options, bool is_replication) const {
  ConnectionTarget target = this->target(side);
  target.options = kSettings + (options.empty() ? "" : " " + options);
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
    auto opened = open(side, "-c search_path=pg_catalog");
    if (!opened) return opened.error();
    kept = std::move(*opened);
  }
  return &*kept;
}

}  // namespace mosaic::admin
