#pragma once
// Carries `mosaic init` out: a rehearsal on each node, then the catalog, `public` of each node, the shards,
// several connections per node, and what the catalog learns from the tables. Each part records itself in its
// own transaction, so a run may be killed at any time and started again; a second run finds nothing to do.
// What the file has gained since is a further step (schema_plan.h): a shard's record says which step it has
// come to.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/init/init_options.h"
#include "admin/init/node_work.h"
#include "admin/init/schema_plan.h"
#include "admin/init/table_columns.h"
#include "admin/postgres/connection.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

// shard -> node: blocks of neighbours, as even as can be. `nodes` has one at least.
std::vector<std::string> spread_shards(uint32_t shard_count, const std::vector<std::string>& nodes);

class InitRunner {
 public:
  // `plan`: of the schema file; without a file the statements that earlier runs have recorded are the plan.
  InitRunner(const Config& config, std::optional<SchemaPlan> plan, const InitOptions& options);
  // Errors: the first that stopped it; what was done stays done.
  routing::Status run();

 private:
  WaitLimits limits() const;
  routing::Status connect_nodes();
  routing::Status check_node(const std::string& node, Connection& connection);
  routing::Status find_catalog();
  routing::Status plan_without_file(const std::vector<AppliedStatement>& applied);
  routing::Status check_tables(const std::vector<std::string>& known);
  routing::Status rehearse_nodes();
  routing::Status check_new_node(const NodeConfig& node);
  routing::Status rehearse_node(const std::string& node, const NodeWork& work);
  routing::Status create_catalog();
  routing::Status check_catalog(Connection& catalog);
  routing::Status record_step();
  std::string table_rows() const;
  routing::Status find_work(const std::string& node);
  std::vector<std::string> reference_tables() const;
  void describe_work() const;
  routing::Status prepare_node(const std::string& node);
  routing::Status prepare_with_rows(const std::string& node);
  std::string public_script(const std::string& node) const;
  routing::Status apply_shards();
  routing::Status finish_nodes();
  routing::Status take_into_use();
  routing::Status learn_tables();

  const Config& config_;
  const bool has_file_;
  SchemaPlan plan_;
  const InitOptions& options_;
  std::vector<const NodeConfig*> nodes_;           // that are prepared
  std::map<std::string, Connection> connections_;  // by node: to these, the catalog's and the default node
  std::optional<Connection> source_;               // of the rows of reference tables, which it keeps locked
  std::vector<std::string> shard_nodes_, nodes_in_use_;
  std::map<std::string, TableColumns> columns_;  // by table, as the rehearsal has read them
  std::string cluster_id_;                       // empty in a dry run before the first init
  bool has_catalog_ = false;
  bool is_complete_ = false;   // the catalog says that init has finished before
  bool needs_record_ = false;  // the catalog lacks statements or tables that the plan has
  std::map<std::string, NodeWork> work_;
};

}  // namespace mosaic::admin
