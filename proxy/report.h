#pragma once
// What the data plane tells about itself when asked: plain values, copied on the worker's own thread.
// The console turns them into rows. Times of day are Unix microseconds, durations microseconds.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pool/node_health.h"
#include "proxy/moving_counts.h"
#include "routing/ids.h"
#include "routing/postgres/router.h"

namespace mosaic::proxy {

// One pool of one worker: (node, user).
struct PoolReport {
  routing::NodeId node;
  std::string user;
  uint32_t clients_active = 0, clients_waiting = 0;
  uint32_t clients_cancel_active = 0, clients_cancel_waiting = 0;
  uint32_t servers_active = 0, servers_idle = 0, servers_login = 0, servers_being_canceled = 0;
  uint64_t longest_wait_us = 0;  // of a client waiting now
  uint32_t pool_size = 0;        // the budget over all workers
};

// Totals since start, per node of one worker. Client bytes are counted where the statement went.
struct TrafficReport {
  routing::NodeId node;
  uint64_t assignments = 0, transactions = 0, queries = 0;
  uint64_t bytes_received = 0, bytes_sent = 0;  // from clients, to clients
  uint64_t transaction_us = 0, query_us = 0, wait_us = 0;
  uint64_t client_parses = 0, server_parses = 0, binds = 0;
};

struct ClientReport {
  std::string user, database, state;  // state: login, idle, active, waiting, active_transaction, pinned
  std::string address;
  uint16_t port = 0;
  uint64_t connect_time_us = 0, request_time_us = 0;  // Unix time
  uint64_t wait_us = 0;                               // waiting for a server now
  std::string application_name;
  uint32_t prepared_statements = 0;
  uint64_t id = 0;         // unique in the process
  uint64_t server_id = 0;  // 0: holds no server
  int node = -1;           // of the server it holds or waits for
  int shard = -1;          // of the statement it runs or waits to run
  uint32_t worker = 0;
  // For ACTIVITY. What it waits for: login, pool (a server connection), server (that works), client_read (the
  // client does not read its reply), client (its next message).
  std::string_view waits_for;                     // a literal
  std::string statement;                          // normalised; that runs or waits to run, else the last one
  bool is_running = false;                        // it runs or waits to run
  uint64_t statement_us = 0, transaction_us = 0;  // how long by now; 0: none
  uint64_t unsent_bytes = 0;                      // towards the client
  uint32_t owed_replies = 0;                      // by the server, to messages that were sent
};

struct ServerReport {
  std::string user, database, state;  // state: login, idle, active, being_canceled, handed_over
  routing::NodeId node;
  uint64_t connect_time_us = 0, request_time_us = 0;
  uint32_t remote_pid = 0;
  uint32_t prepared_statements = 0;
  uint64_t id = 0;
  uint64_t client_id = 0;  // 0: idle
  int shard = -1;          // of its client's statement
  std::string local_address;
  uint16_t local_port = 0;
  uint64_t unsent_bytes = 0;  // towards the server
  std::string application_name;
  uint32_t worker = 0;
};

struct NodeReport {
  routing::NodeId node;
  uint32_t connections = 0;
};

struct WorkerReport {
  uint32_t worker = 0;
  std::vector<PoolReport> pools;
  std::vector<TrafficReport> traffic;
  std::vector<ClientReport> clients;
  std::vector<ServerReport> servers;
  std::vector<NodeReport> nodes;
  std::vector<uint64_t> shard_queries;  // statements routed to each shard
  std::vector<uint64_t> shard_us;       // how long servers worked for each shard
  std::vector<std::string> users;       // of the auth file; told by the first worker
  routing::ShapeCacheStatistics shape_cache;
  std::vector<routing::ShapeStatistics> shapes;
  uint64_t logins_failed = 0, clients_refused = 0, refused_statements = 0, pinned_sessions = 0;
  uint64_t bound_queries = 0, unbound_queries = 0, healed_statements = 0;  // see SessionEnvironment
  MovingCountsByShard moving;
  std::map<uint32_t, uint32_t> clients_at_gate;  // by shard
  uint64_t rested_servers = 0, looked_servers = 0, moved_transactions = 0;
  uint64_t described_from_cache = 0, statement_cache_bytes = 0, statement_evictions = 0;
  uint64_t statements = 0, statement_cache_bytes_max = 0;
  uint32_t clients_waiting_max = 0;  // in one pool, ever
};

struct ReportRequest {
  bool clients = false, servers = false, shapes = false;
  bool statements = false;  // with the clients: what they run
  bool users = false;
  // The workers stop for the moment it takes, so that what passes between them is told once: for whoever
  // counts connections. Not for what is asked all the time.
  bool is_of_one_instant = false;
};

struct Report {
  std::vector<WorkerReport> workers;
  std::vector<pool::NodeHealth::Status> nodes;  // by NodeId
  bool is_complete = true;                      // false: some worker did not answer within the deadline
  uint32_t clients = 0, clients_most = 0;       // logged in, now and ever
  // Of clients, logged in or not, and how many the limit of open files has room for.
  uint64_t connections = 0, connections_max = 0;
};

}  // namespace mosaic::proxy
