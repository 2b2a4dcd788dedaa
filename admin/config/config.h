#pragma once
// One configuration file, read and checked: what an operator declares for one proxy. Plain values; never the
// state that proxies share (that is the catalog). Made by config_loader, read by the commands, the console
// and, as ProxySettings, by the data plane.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "admin/event_log.h"
#include "proxy/proxy_settings.h"
#include "routing/id_layout.h"
#include "routing/ids.h"
#include "routing/shard_function.h"

namespace mosaic::admin {

// Where a key stands in the file; 1-based. Line 0: not in the file.
struct SourcePosition {
  uint32_t line = 0;
  uint32_t column = 0;
};

// [nodes.NAME]. `admin_user` is a superuser or the owner of the database: `mosaic init` connects as it.
struct NodeConfig {
  pool::NodeAddress address;
  routing::NodeId id;
  bool has_shards = true;  // init may give it some
  std::string admin_user;
  std::string admin_password;  // empty: what libpq finds (passfile, trust, peer ...)
  bool refuses_when_slow = false;
};

// [tables.NAME]: exactly one of `key`, `is_reference` and `node` is given.
struct TableConfig {
  std::string name;
  std::string key;
  std::string id;
  bool is_reference = false;
  std::string node;
  // An operator's word: unique indexes, by name or by columns ("a, b"), that need not hold over shards;
  // serial and identity columns that each shard may count for itself.
  std::vector<std::string> unique_within_shard;
  std::vector<std::string> counted_within_shard;
};

struct ShardsConfig {
  uint32_t count = 0;
  routing::ShardFunction function = routing::ShardFunction::kXxh3;
  std::string schema_prefix;
  routing::IdLayout id_layout;
};

// [catalog]: how a running proxy reaches the catalog. Times in milliseconds.
struct CatalogConfig {
  std::string node;
  std::string user;
  std::string password;
  std::string passfile;  // absolute path; empty: libpq's own default
  std::string schema;
  uint32_t connect_timeout_ms = 0;
  uint32_t poll_interval_ms = 0;
  uint32_t heartbeat_interval_ms = 0;
};

// [moves]: of shards between nodes. Times in milliseconds.
struct MovesConfig {
  uint32_t parallel_moves = 0;
  uint32_t moves_per_node = 0;
  uint64_t retained_wal_bytes = 0;
  uint32_t lock_timeout_ms = 0;
  uint32_t catch_up_timeout_ms = 0;
  uint32_t lease_ms = 0;
};

struct Config {
  std::string path;    // as given on the command line
  std::string folder;  // absolute; relative paths in the file start here
  proxy::ProxySettings proxy;
  std::vector<NodeConfig> nodes;    // in the file's order; proxy.nodes holds their addresses, by NodeId, and
                                    // those of nodes that the file no longer lists
  std::vector<TableConfig> tables;  // in the file's order
  ShardsConfig shards;
  CatalogConfig catalog;
  MovesConfig moves;
  std::string default_node;  // unlisted tables and catalog queries
  std::vector<std::string> application_users;
  // Functions, and extensions whose functions all, leave nothing in a session: an operator's word for those
  // whose code Mosaic can not read.
  std::vector<std::string> clean_functions;
  std::vector<std::string> clean_extensions;
  std::vector<std::string> may_name_sharded;  // functions and views
  std::string state_dir;
  std::string pid_file;  // empty: none
  std::string log_level;
  EventLogSettings log;
  uint32_t stats_period_ms = 0;
  uint32_t max_console_clients = 0;

  // Every key that applies, by full name ("pool.default_pool_size", "nodes.pg1.port"), as TOML text; secrets
  // are masked. For SHOW CONFIG and for telling what a reload would change.
  std::map<std::string, std::string> values;
  // Where the file sets a key; "nodes.pg1" is the section's own position.
  std::map<std::string, SourcePosition> positions;

  const NodeConfig* find_node(const std::string& name) const;
};

}  // namespace mosaic::admin
