#pragma once
// What is left to do on one node, found by comparing what it records with the plan.

#include <optional>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/init/schema_plan.h"
#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

struct NodeWork {
  struct ShardStep {
    routing::ShardId shard;
    uint32_t step = 0;  // that the shard has come to
  };
  bool needs_public = false;
  std::optional<uint32_t> public_step;  // that `public` has come to; nothing: needs nothing more
  bool needs_public_grants = false;
  bool needs_listing = false;     // the catalog does not say that it is in use
  std::vector<std::string> fill;  // reference tables that get their rows from the default node
  std::vector<routing::ShardId> create;
  std::vector<ShardStep> extend;
  std::vector<routing::ShardId> grant;

  bool is_done() const {
    return !needs_public && !public_step && !needs_public_grants && !needs_listing && fill.empty() &&
           create.empty() && extend.empty() && grant.empty();
  }
};

// What the cluster wants of its nodes. Everything outlives the call.
struct WantedNodes {
  const Config& config;
  const SchemaPlan& plan;
  const std::string& cluster_id;                // empty: there is no catalog yet
  const std::vector<std::string>& shard_nodes;  // by shard
};

// But for `needs_listing` and `fill`. Errors: another cluster's database, tables of another schema file.
routing::Result<NodeWork> find_node_work(Connection& connection, const std::string& node,
                                         const WantedNodes& wanted);

// "will create 3 shards, 4 twins, 1 reference tables", "nothing to do".
std::string describe(const NodeWork& work, const std::string& node, const SchemaPlan& plan, const char* will);

}  // namespace mosaic::admin
