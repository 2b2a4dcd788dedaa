#pragma once
// Limits of the pools, named as in PgBouncer's configuration, plus the address of a node.

#include <cstdint>
#include <string>

namespace mosaic::pool {

struct NodeAddress {
  std::string name;  // as in the config: [nodes.pg1]
  std::string host;  // name, address, or directory of a Unix socket
  uint16_t port = 5432;
  std::string dbname;  // database on that node

  bool operator==(const NodeAddress&) const = default;
};

struct NodeSettings {
  NodeAddress address;
  bool refuses_when_slow = false;  // when_stalled = "fail"
  bool is_removed = false;         // from the configuration; its NodeId stays its own
};

// When the kernel gives up a TCP connection whose other end is gone without a word (tcp(7)). Times in
// milliseconds; 0: the system's own.
struct KeepaliveSettings {
  uint32_t idle_ms = 60'000;      // without a byte, until it asks
  uint32_t interval_ms = 10'000;  // between questions
  uint32_t count = 6;             // unanswered ones
  uint32_t user_timeout_ms = 0;   // sent bytes that are not acknowledged
};

// Times in milliseconds; 0 means no limit.
struct PoolSettings {
  uint32_t default_pool_size = 20;  // server connections per (node, database, user), over all workers
  uint32_t min_pool_size = 0;       // of these that are kept while the user has a client
  uint32_t reserve_pool_size = 0;   // more than default_pool_size, for clients that have waited long
  uint32_t reserve_pool_timeout_ms = 5'000;
  uint32_t max_db_connections = 0;         // per node, over all users
  uint32_t max_user_connections = 0;       // per user, over all nodes
  uint32_t max_prepared_statements = 500;  // per server connection
  uint32_t prepare_threshold = 5;          // uses of an unnamed statement before servers keep it; 0: never
  bool prepare_simple_queries = true;      // the same for simple queries, with parameters for literals
  uint32_t query_wait_timeout_ms = 120'000;
  uint32_t server_connect_timeout_ms = 15'000;
  uint32_t server_login_retry_ms = 1'000;
  uint32_t node_probe_interval_ms = 1'000;
  uint32_t node_stall_timeout_ms = 3'000;
  uint32_t server_idle_timeout_ms = 600'000;
  uint32_t server_lifetime_ms = 3'600'000;
  uint32_t cancel_wait_timeout_ms = 10'000;
  KeepaliveSettings keepalive;            // user_timeout_ms: of connections to nodes only
  bool log_connections = true;            // of clients and servers
  bool log_disconnections = true;         // likewise
  uint32_t max_waiting_clients = 10'000;  // per (node, database, user) and worker; more get an error at once
};

}  // namespace mosaic::pool
