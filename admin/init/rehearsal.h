#pragma once
// Does on a node all that `mosaic init` will do there, with one shard for all, in a transaction that is
// rolled back: whatever the server or the configuration has against the schema file is known before anything
// is recorded. Called by InitRunner, in dry runs too.

#include <map>
#include <optional>
#include <string>

#include "admin/config/config.h"
#include "admin/init/schema_plan.h"
#include "admin/init/table_columns.h"
#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

// What is to be done on one node, with one shard for all.
struct RehearsedWork {
  bool is_new = false;                  // `public` has nothing yet
  std::optional<uint32_t> public_step;  // the step that `public` has come to, where it needs more
  std::optional<routing::ShardId> new_shard;
  std::optional<routing::ShardId> old_shard;  // that needs more
  uint32_t shard_step = 0;                    // that it has come to
};

// Leaves nothing behind. `columns`: of the tables that the catalog reads on this node, by name.
routing::Status rehearse(Connection& connection, const Config& config, const SchemaPlan& plan,
                         const std::string& node, const RehearsedWork& work,
                         std::map<std::string, TableColumns>& columns);

}  // namespace mosaic::admin
