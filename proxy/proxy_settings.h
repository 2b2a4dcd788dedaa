#pragma once
// What the data plane is told by the config; admin fills it in. Reload replaces it as a whole.

#include <cstdint>
#include <string>
#include <vector>

#include "pool/pool_settings.h"

namespace mosaic::proxy {

enum class AuthType : uint8_t { kTrust, kScramSha256 };

// Times in milliseconds; 0 means no limit.
struct ProxySettings {
  // Fixed at start.
  uint32_t workers = 0;  // 0: one per core
  std::string listen_address = "127.0.0.1";
  uint16_t listen_port = 6432;
  uint32_t listen_backlog = 4096;
  std::string database;   // the application's database, as clients name it
  std::string state_dir;  // where the secret of the login's salts is kept; empty: nowhere

  // Changeable by RELOAD.
  AuthType auth_type = AuthType::kScramSha256;
  std::string auth_file;                 // PgBouncer format
  std::vector<std::string> admin_users;  // console: everything
  std::vector<std::string> stats_users;  // console: SHOW only
  uint32_t max_client_conn = 10'000;
  uint32_t client_login_timeout_ms = 60'000;
  uint32_t client_idle_timeout_ms = 0;
  uint32_t idle_transaction_timeout_ms = 0;
  uint32_t query_timeout_ms = 0;
  uint32_t max_client_prepared_statements = 10'000;  // per client
  uint64_t max_statement_bytes = 256u << 20;         // one Query, Parse or Bind message
  uint64_t max_held_bytes = 64u << 10;  // per client: what is said in a portable transaction, portals
  uint64_t max_client_prepared_bytes = 64u << 20;  // per client
  uint32_t max_pipeline_messages = 10'000;         // per client: sent to a server and not answered
  uint64_t max_replay_bytes = 64u << 10;           // per client: kept until the first answer
  uint64_t client_buffer_bytes = 1u << 20;     // unsent bytes towards a client before its server is paused
  uint64_t server_buffer_bytes = 1u << 20;     // unsent bytes towards a server before its client is paused
  uint32_t log_min_duration_ms = 0;            // statements that take longer are told of
  uint64_t shape_cache_bytes = 16u << 20;      // per worker
  uint64_t statement_cache_bytes = 16u << 20;  // per worker: texts of prepared statements
  std::vector<pool::NodeSettings> nodes;       // indexed by NodeId; nodes come at the end
  pool::PoolSettings pool;
};

}  // namespace mosaic::proxy
