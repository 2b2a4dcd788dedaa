#pragma once
// Clients of one worker whose next transaction is for a shard that is about to go to another node, or whose
// node has just refused it: they wait here, before they ask a pool, in their order, until the map says
// something new. Bounded by count and time. One thread.

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "proxy/moving_counts.h"
#include "proxy/postgres/session/outbox.h"
#include "routing/catalog_snapshot.h"
#include "routing/result.h"

namespace mosaic::proxy {

class ShardGate {
 public:
  struct Limits {
    uint32_t clients_max = 0;  // max_waiting_clients
    uint64_t wait_ms = 0;      // query_wait_timeout; 0: none
  };
  class Client {
   public:
    bool is_at_gate() const { return gate_entry_.has_value(); }
    virtual void on_gate_open() = 0;
    virtual void on_gate_failed(const routing::Error& error) = 0;

   protected:
    virtual ~Client() = default;

   private:
    friend class ShardGate;
    struct Entry;
    std::optional<std::list<Entry>::iterator> gate_entry_;
    uint64_t first_ms_ = 0;  // since when it waits, but for asking in between
  };

  explicit ShardGate(MovingCountsByShard& counts) : counts_(counts) {}
  static bool must_wait(const LeaseRequest& request, const routing::CatalogSnapshot& catalog);
  // The error: there are too many already.
  std::optional<routing::Error> wait(Client& client, const LeaseRequest& request, const Limits& limits,
                                     uint64_t now_ms);
  void leave(Client& client);
  // Whoever need not wait by this map goes on.
  void on_map(const routing::CatalogSnapshot& catalog, uint64_t now_ms);
  // Whom a node has refused asks it again now and then: it may have been a move that was given up.
  void on_tick(const routing::CatalogSnapshot& catalog, const Limits& limits, uint64_t now_ms);

  const std::map<uint32_t, uint32_t>& clients_by_shard() const { return by_shard_; }

 private:
  // A refused client asks again after so long.
  static constexpr uint64_t kAskAgainMs = 50;

  void let_go(Client& client, uint64_t now_ms);

  std::list<Client::Entry> waiting_;
  std::map<uint32_t, uint32_t> by_shard_;  // how many of them
  MovingCountsByShard& counts_;
};

struct ShardGate::Client::Entry {
  Client* client = nullptr;
  LeaseRequest request;
  uint64_t since_ms = 0;
};

}  // namespace mosaic::proxy
