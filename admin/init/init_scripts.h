#pragma once
// The SQL that `mosaic init` runs: one script per shard, one per node. Pure text; each script is to be run as
// one transaction and records itself in it, so that a killed run leaves nothing half done.

#include <string>

#include "admin/config/config.h"
#include "admin/init/schema_plan.h"
#include "routing/ids.h"

namespace mosaic::admin {

// "public.media", quoted where it has to be.
std::string public_name(const std::string& table);

// A statement for the begin of a transaction: who waits for a lock makes others wait behind him, and an
// application may be running.
std::string set_lock_limit();

// The script between BEGIN and COMMIT.
std::string as_transaction(const std::string& script);

// "app,reader": who got grants; a later run with other users grants again.
std::string grantees_text(const Config& config);

// The shard's schema, next_id(), the file's tables, the grants.
std::string shard_script(const SchemaPlan& plan, const Config& config, routing::ShardId shard);
// What the plan's steps behind `step` bring to a shard that exists, and the grants.
std::string shard_extension_script(const SchemaPlan& plan, const Config& config, routing::ShardId shard,
                                   uint32_t step);
// The grants alone, for a shard that exists.
std::string shard_grant_script(const Config& config, routing::ShardId shard);

// `public` of one node: types and functions, the twins, the reference tables, the node's own tables, the
// grants.
std::string node_script(const SchemaPlan& plan, const Config& config, const std::string& node);
// What the steps behind `step` bring there.
std::string node_extension_script(const SchemaPlan& plan, const Config& config, const std::string& node,
                                  uint32_t step);
std::string node_grant_script(const SchemaPlan& plan, const Config& config, const std::string& node);

// next_id() of one shard and the two sequences behind it.
std::string next_id_ddl(const std::string& schema, routing::ShardId shard, const routing::IdLayout& layout);

}  // namespace mosaic::admin
