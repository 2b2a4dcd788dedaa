#pragma once
// What RELOAD may take over from a file that was read again. Pure.

#include <string>
#include <vector>

#include "admin/config/config.h"
#include "routing/result.h"

namespace mosaic::admin {

// Keys that differ and need a restart, one line each: "listen.port: 6432 runs, the file says 6433".
std::vector<std::string> fixed_differences(const Config& running, const Config& read);
// What a reload has changed: "pool.default_pool_size: 20 -> 7"; of a secret only that it has.
std::vector<std::string> changed_keys(const Config& before, const Config& after);
inline constexpr size_t kNodeIdsMax = 10'000;
// Gives every node of `read` the NodeId that it has in `running`, whatever the file's order; new nodes get
// the next ones, those of nodes that are gone are kept for when they come again. Errors: more than
// kNodeIdsMax names since the start.
routing::Status keep_node_ids(const Config& running, Config& read);

}  // namespace mosaic::admin
