#pragma once
// Before a shard comes to a node: connections there are opened, and given the statements that servers of the
// node which it leaves keep for it, so that its first clients wait for neither. What can not be had is left
// out: clients prepare it themselves as ever. One per worker, on its thread.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
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

  // The pools of one user on either node; both outlive what has been begun. Asked again every now and then,
  // it goes on with what has come up since. The tables are to be there.
  void prepare(routing::ShardId shard, pool::ConnectionPool& from, pool::ConnectionPool& to);
  // A connection that does not answer within `limit_ms` (0: none) is given up; so is what nobody asks for any
  // more.
  void on_tick(uint32_t limit_ms);

 private:
  struct Statement {
    pool::StatementKey key;
    std::string parse;  // the message
  };
  class Giver;
  struct Arrival {
    std::set<uint64_t> refused;  // statements that the node does not take
    std::map<pool::ConnectionPool*, std::unique_ptr<Giver>> givers;
    uint64_t asked_ms = 0;
  };

  std::vector<Statement> missing(routing::ShardId shard, const Arrival& arrival,
                                 const pool::ConnectionPool& from, const pool::ConnectionPool& to) const;
  bool is_missing(const pool::ServerConnection& server, const pool::StatementKey& key) const;

  uint64_t now_ms() const { return loop_.now_ms(); }

  pool::EventLoop& loop_;
  SessionEnvironment& environment_;
  std::map<uint32_t, Arrival> by_shard_;
};

}  // namespace mosaic::proxy
