#pragma once
// What a move makes on its nodes, found by name: the lanes that carry changes, and the clearing up of all of
// it, whoever made it and however far it had come. Each function may be called again after it has failed.

#include <chrono>
#include <functional>
#include <string>

#include "admin/move/move_nodes.h"
#include "admin/move/move_scripts.h"

namespace mosaic::admin {

// Who has written to the shard and not ended yet, or is amid a transaction that has used it, as text; empty:
// nobody.
routing::Result<std::string> find_holders(Connection& node, const MoveScripts& scripts);

// One transaction of statements whose locks make others wait: it asks briefly, and again. `on_wait`: now and
// then meanwhile, the connection at rest. Errors: kLockNotAvailable after half a minute.
routing::Status execute_patiently(Connection& node, const std::string& statements,
                                  const std::function<void()>& on_wait = {});

// Sends a marker and waits until the other side has it. Errors: kWaitTimeout when it did not come in time.
routing::Result<std::chrono::microseconds> send_marker(Connection& from, Connection& to,
                                                       const MoveScripts& scripts, Way way,
                                                       std::chrono::milliseconds limit);
// Why the lane can not be relied on any more; empty: it can. `is_enabled`: it should be running.
routing::Result<std::string> find_lane_fault(Connection& from, Connection& to, const MoveScripts& scripts,
                                             Way way, bool is_enabled);
// Log that the slot keeps on its node, in bytes.
routing::Result<uint64_t> retained_wal(Connection& from, const MoveScripts& scripts, Way way);

// Subscriptions first, so that nobody uses the slots.
routing::Status drop_subscription(Connection& node, const MoveScripts& scripts, Way way);
routing::Status drop_slot(Connection& node, const MoveScripts& scripts, Way way);
// Publications, triggers, tables, functions of the move on this node; not the shard's own.
routing::Status drop_objects(Connection& node, const MoveScripts& scripts, const std::string& catalog_schema);
// The shard's schema, table by table, and its record.
routing::Status drop_shard(Connection& node, const MoveScripts& scripts, const std::string& schema,
                           const std::string& catalog_schema, routing::ShardId shard);

}  // namespace mosaic::admin
