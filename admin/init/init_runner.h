#pragma once
// Carries `mosaic init` out: a rehearsal on each node, then the catalog, `public` of each node, the shards,
// several connections per node, and what the catalog learns from the tables. Every step records itself in its
// own transaction, so a run may be killed at any time and started again; a second run finds nothing to do.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "admin/commands/commands.h"
#include "admin/config/config.h"
#include "admin/init/schema_plan.h"
#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

// shard -> node: blocks of neighbours, as even as can be.
std::vector<std::string> spread_shards(uint32_t shard_count, const std::vector<std::string>& nodes);

class InitRunner {
 public:
  InitRunner(const Config& config, const SchemaPlan& plan, const InitOptions& options);
  // Tells what it does on stdout. Errors: the first that stopped it; what was done stays done.
  routing::Status run();

 private:
  // What is left to do on one node.
  struct NodeWork {
    bool needs_public = false;
    bool needs_public_grants = false;
    std::vector<routing::ShardId> create;
    std::vector<routing::ShardId> grant;
    bool is_done() const { return !needs_public && !needs_public_grants && create.empty() && grant.empty(); }
  };

  routing::Status connect_nodes();
  routing::Status check_node(const std::string& node, Connection& connection);
  routing::Status find_catalog();
  routing::Status rehearse_nodes();
  routing::Status create_catalog();
  routing::Status check_catalog(Connection& catalog);
  routing::Status find_work(const std::string& node);
  routing::Status find_shard_work(const std::string& node, Connection& connection, NodeWork& work);
  void describe_work() const;
  routing::Status prepare_node(const std::string& node);
  routing::Status apply_shards();
  routing::Status finish_nodes();
  routing::Status learn_tables();
  routing::Status learn_table(const TableConfig& table);

  const Config& config_;
  const SchemaPlan& plan_;
  const InitOptions& options_;
  std::map<std::string, Connection> connections_;  // one per node, by its name
  std::vector<std::string> shard_nodes_;
  std::string cluster_id_;  // empty in a dry run before the first init
  bool has_catalog_ = false;
  bool is_complete_ = false;  // the catalog says that init has finished before
  std::map<std::string, NodeWork> work_;
};

// Where init connects to on a node.
ConnectionTarget admin_target(const NodeConfig& node);

}  // namespace mosaic::admin
