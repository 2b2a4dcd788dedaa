#pragma once
// What all sessions of a worker share: caches, limits and counters. Owned by the worker, outlives its
// sessions.

#include <cstdint>
#include <memory>
#include <vector>

#include "pool/node_loads.h"
#include "pool/postgres/name_values.h"
#include "proxy/moving_counts.h"
#include "proxy/postgres/login/welcome_cache.h"
#include "proxy/postgres/schema_changes.h"
#include "proxy/postgres/session/parse_contexts.h"
#include "proxy/postgres/session/query_binder.h"
#include "proxy/postgres/session/statement_cache.h"
#include "proxy/report.h"
#include "proxy/turn_clock.h"
#include "routing/buffer_stock.h"
#include "routing/catalog_snapshot.h"
#include "routing/postgres/router.h"

namespace mosaic::proxy {

struct SessionEnvironment {
  routing::Router* router = nullptr;
  StatementCache* statements = nullptr;
  WelcomeCache* welcomes = nullptr;
  ParseContexts* parse_contexts = nullptr;
  QueryBinder* binder = nullptr;
  routing::BufferStock* buffers = nullptr;
  pool::NameValuesTable* name_values = nullptr;
  const pool::NodeLoads* node_loads = nullptr;              // none: all nodes are alike
  SchemaChanges* schema_changes = nullptr;                  // none: nobody listens
  std::shared_ptr<const routing::CatalogSnapshot> catalog;  // the newest
  uint32_t max_prepared_statements = 0;                     // per server connection
  uint32_t prepare_threshold = 0;                 // Parses of a text before servers keep it by name; 0: never
  bool prepare_simple_queries = false;            // the same for simple queries, with parameters for literals
  uint32_t max_client_prepared_statements = 0;    // per client
  uint64_t max_client_prepared_bytes = 64 << 20;  // per client: texts and plans of its statements
  uint64_t max_statement_bytes = 256u << 20;      // one Query, Parse, Bind or FunctionCall message
  uint32_t max_pipeline_messages = 10'000;        // per client: sent and not answered
  uint64_t max_replay_bytes = 64 << 10;           // per client: see Attempt
  uint64_t max_held_bytes = 64 << 10;             // per client: what is said in a transaction, portals
  uint64_t max_copy_lookahead_bytes = 1 << 20;    // COPY without a hint: bytes kept until the first row's key
  std::vector<TrafficReport> traffic;             // by node
  std::vector<uint64_t> shard_queries;            // by shard
  std::vector<uint64_t> shard_us;                 // by shard: how long servers worked for it
  TurnClock clock;
  uint64_t slow_statement_us = 0;  // from this duration on a statement is told of; 0: never
  uint64_t refused_statements = 0;
  uint64_t described_from_cache = 0;
  uint64_t bound_queries = 0;       // simple queries that went out as prepared statements
  uint64_t unbound_queries = 0;     // of these, sent again as they came
  uint64_t ddl_statements = 0;      // the worker tells the others of a changed schema when it grows
  uint64_t rested_servers = 0;      // servers brought to rest behind a transaction that may have left traces
  uint64_t looked_servers = 0;      // servers asked for what their client still keeps them for
  uint64_t moved_transactions = 0;  // portable ones that went on elsewhere
  MovingCountsByShard moving;       // what moves have cost
  uint64_t healed_statements = 0;   // lost by a server, and prepared again unseen
};

}  // namespace mosaic::proxy
