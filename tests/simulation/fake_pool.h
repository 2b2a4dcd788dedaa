#pragma once
// A few model servers for each node, and the pipes to and from them. Checks what may never be otherwise when
// a server comes back: it is at rest, nothing is under way in either direction, and what Mosaic remembers of
// it is true.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "pool/postgres/server_memory.h"
#include "routing/byte_buffer.h"
#include "tests/simulation/model_server.h"

namespace mosaic::simulation {

struct Link;

struct Server {
  Server(const Rules& rules, uint16_t node) : model(ModelServer::Role::kNode, rules, node) {}
  ModelServer model;
  pool::ServerMemory memory;
  routing::ByteBuffer queued;        // by the session, not sent yet
  routing::ByteBuffer to_server;     // under way
  routing::ByteBuffer server_input;  // arrived
  routing::ByteBuffer to_proxy;      // answers under way
  routing::ByteBuffer partial;       // of a frame, at the proxy
  uint32_t pending_cancels = 0;
  Link* holder = nullptr;
};

class FakePool {
 public:
  FakePool(const Rules& rules, pool::NameValuesTable& names, uint16_t nodes, size_t servers_each);

  // Null: the link waits in the queue.
  Server* acquire(Link& link, uint16_t node);
  void stop_waiting(Link& link);
  void give_back(Server& server);
  void discard(Server& server);
  // The longest waiting link that a free server of its node can have, with that server; null: none.
  Link* next_grant(Server*& server);

  std::vector<std::unique_ptr<Server>>& servers() { return servers_; }
  bool is_waiting(const Link& link) const;
  bool is_at_rest() const;
  const std::string& complaint() const { return complaint_; }
  uint64_t leases() const { return leases_; }

 private:
  struct Waiting {
    Link* link;
    uint16_t node;
  };
  std::unique_ptr<Server> make_server(uint16_t node);
  Server* find_free(uint16_t node);
  void check_rest(const Server& server);
  void complain(std::string what);

  const Rules& rules_;
  pool::NameValuesTable& names_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::deque<Waiting> waiting_;
  uint64_t leases_ = 0, returns_ = 0;
  std::string complaint_;
};

}  // namespace mosaic::simulation
