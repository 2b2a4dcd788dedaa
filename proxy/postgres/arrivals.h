#pragma once
// When a shard has come to a node: idle connections there are given the statements that servers of the node
// which it has left keep for it, before clients come to use them. Not earlier: the schema is closed to its
// users until then, and what opens it makes PostgreSQL forget all plans (PostgreSQL, plancache.c,
// PlanCacheSysCallback()). What can not be had is left out: clients prepare it as ever. One per worker, on
// its thread.

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "pool/connection_pool.h"
#include "proxy/postgres/session/session_environment.h"
#include "routing/ids.h"

namespace mosaic::proxy {

class Arrivals {
 public:
  Arrivals(pool::EventLoop& loop, SessionEnvironment& environment);
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // Before: opens as many connections of `to` as there are of `from` that have worked for the shard. The
  // pools of one user.
  static void open_connections(routing::ShardId shard, const pool::ConnectionPool& from,
                               pool::ConnectionPool& to);
  // Once it has come. `to` lives as long as it has connections.
  void give_statements(routing::ShardId shard, const pool::ConnectionPool& from, pool::ConnectionPool& to);
  // A connection that does not answer within `limit_ms` (0: none) is given up.
  void on_tick(uint32_t limit_ms);

 private:
  struct Statement {
    pool::StatementKey key;
    std::string parse;  // the message
  };
  class Giver;

  std::vector<Statement> missing(routing::ShardId shard, const pool::ConnectionPool& from,
                                 const pool::ConnectionPool& to) const;
  bool is_missing(const pool::ServerConnection& server, const pool::StatementKey& key) const;

  pool::EventLoop& loop_;
  SessionEnvironment& environment_;
  std::list<std::unique_ptr<Giver>> givers_;
};

}  // namespace mosaic::proxy
