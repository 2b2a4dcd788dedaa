#pragma once
// Does on a node all that `mosaic init` will do there, with one shard for all, in a transaction that is
// rolled back: whatever the server or the configuration has against the schema file is known before anything
// is recorded. Called by InitRunner, in dry runs too.

#include <optional>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/init/schema_plan.h"
#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

// `sample`: a shard that the node will get; none for a node without shards. Leaves nothing behind. `warnings`
// gets lines about what will work, but not as on one server.
routing::Status rehearse(Connection& connection, const Config& config, const SchemaPlan& plan,
                         const std::string& node, std::optional<routing::ShardId> sample,
                         std::vector<std::string>& warnings);

}  // namespace mosaic::admin
