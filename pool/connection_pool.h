#pragma once
// The server connections of one worker to one (node, user): who has them, who waits for one. A lease begins
// with acquire() or Waiter::on_lease and ends exactly once, in give_back() or discard(). One thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/connection_budget.h"
#include "pool/event_loop.h"
#include "pool/event_sink.h"
#include "pool/hand_overs.h"
#include "pool/node_health.h"
#include "pool/pool_settings.h"
#include "pool/postgres/server_connection.h"
#include "routing/result.h"

namespace mosaic::pool {

class ConnectionPool;

// Somebody who waits for a server connection. Waits in one pool at a time.
class Waiter {
 public:
  virtual void on_lease(ServerConnection& server) = 0;
  virtual void on_lease_failed(const routing::Error& error) = 0;

  ConnectionPool* waiting_in() const { return pool_; }
  // What it waits for, a connection to another node would do as well.
  virtual bool can_use_any_node() const { return false; }
  uint64_t waiting_since_ms() const { return since_ms_; }

 protected:
  virtual ~Waiter() = default;

 private:
  friend class ConnectionPool;
  ConnectionPool* pool_ = nullptr;
  Waiter* next_ = nullptr;
  Waiter* previous_ = nullptr;
  uint64_t since_ms_ = 0;
};

// There is no room for one more connection of `user` to the node: an idle one is to go.
struct RoomRequest {
  enum class Of : uint8_t { kNode, kUser };  // of another user of this node; of this user to another node
  routing::NodeId node;
  std::string user;
  Of of = Of::kNode;
};

class ConnectionPool {
 public:
  // What a pool shares with the others of its worker.
  struct Environment {
    EventLoop* loop = nullptr;
    NameValuesTable* tables = nullptr;
    uint32_t worker = 0;
    Mailbox* mailbox = nullptr;
    const PoolSettings* settings = nullptr;  // the worker's; changes in place with RELOAD
    std::function<uint64_t()> next_server_id;
    std::function<void(const RoomRequest&)> make_room;
    EventSink* events = nullptr;      // null: nobody listens
    HandOvers* hand_overs = nullptr;  // null: nobody counts them
  };

  ConnectionPool(Environment environment, routing::NodeId node, NodeAddress address, std::string user,
                 std::string password, std::shared_ptr<ConnectionBudget> budget,
                 std::shared_ptr<NodeHealth> health);
  ~ConnectionPool();
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  struct Grant {
    ServerConnection* server = nullptr;   // granted now
    std::optional<routing::Error> error;  // refused now; neither: the waiter is in the queue
  };
  // `preferred`: a statement that the connection should rather have already.
  Grant acquire(Waiter& waiter, const std::optional<StatementKey>& preferred);
  void stop_waiting(Waiter& waiter);
  // Leases the most recently used of those idle connections that `is_wanted`; null: there is none.
  ServerConnection* acquire_idle(const std::function<bool(const ServerConnection&)>& is_wanted);
  // Opens connections for which nobody waits yet, until there are `count` here or a limit is reached.
  void open_ahead(size_t count);
  void give_back(ServerConnection& server);
  // The connection is broken, or in a state that the next client must not see.
  // `why`: for the log.
  void discard(ServerConnection& server,
               std::string_view why = "it was broken, or held what no other client may see");

  // Asks the node to cancel what a leased connection runs. Until that is done nobody else gets the
  // connection; when it takes longer than cancel_wait_timeout, nobody ever. One request per connection is
  // under way.
  void cancel(ServerConnection& server);

  // `has_clients`: the user is logged in here, so that min_pool_size holds.
  void on_tick(uint64_t now_ms, bool has_clients);
  // NodeHealth tells another state of the node.
  void on_node_change();
  // Since when the one that has been idle longest is idle; nothing: none is.
  std::optional<uint64_t> idle_since_ms() const {
    return idle_.empty() ? std::nullopt : std::optional(idle_.front()->state_since_ms());
  }
  void close_longest_idle() {
    remove(*idle_.front(), "room for a connection of another user or to another node");
  }
  // RELOAD. When either changed, connections that are idle or being made go at once, and leased ones when
  // they come back; who waits is served by new ones.
  void set_address(NodeAddress address, std::string password);
  // No client is sent to a node that is not in use: connections that are idle go, and none is kept open.
  void set_in_use(bool is_in_use) { is_in_use_ = is_in_use; }

  routing::NodeId node() const { return node_; }
  const std::string& user() const { return user_; }
  const std::vector<std::unique_ptr<ServerConnection>>& servers() const { return servers_; }
  uint32_t waiting() const { return waiting_; }
  uint32_t waiting_max() const { return waiting_max_; }  // ever
  uint64_t longest_wait_ms(uint64_t now_ms) const {
    return first_ == nullptr ? 0 : now_ms - first_->since_ms_;
  }
  const ConnectionBudget& budget() const { return *budget_; }

 private:
  void enqueue(Waiter& waiter);
  void unlink(Waiter& waiter);
  void grow();
  void open_connection();
  void ask_for_room(RoomRequest::Of of);
  std::optional<routing::Error> unavailable(const Waiter& waiter) const;
  void on_connected(ServerConnection& server, std::optional<ConnectFailure> failure);
  void settle(ServerConnection& server);
  void settle_one(ServerConnection& server);
  bool hand_over(ServerConnection& server, uint32_t worker);
  void adopt(std::unique_ptr<ServerConnection> server);
  void give_up_idle();
  void update_starving();
  void open_unasked(uint64_t now_ms);
  void move_to(ServerConnection& server, ServerConnection::State state);
  std::unique_ptr<ServerConnection> take_out(ServerConnection& server);
  void remove(ServerConnection& server, std::string_view why);
  Event server_event(Severity severity, std::string_view name, const ServerConnection& server) const;
  void tell(const Event& event) const;
  void fail_waiters(const routing::Error& error, bool only_who_can_use_any_node = false);

  Environment environment_;
  routing::NodeId node_;
  NodeAddress address_;
  std::string user_, password_;
  std::shared_ptr<ConnectionBudget> budget_;
  std::vector<std::unique_ptr<ServerConnection>> servers_;
  std::vector<ServerConnection*> idle_;       // most recently used last
  std::vector<ServerConnection*> unsettled_;  // given back and not yet given on
  bool is_settling_ = false;
  uint32_t connecting_ = 0;
  Waiter* first_ = nullptr;  // has waited longest
  Waiter* last_ = nullptr;
  uint32_t waiting_ = 0, waiting_max_ = 0;
  bool is_in_use_ = true;
  std::shared_ptr<NodeHealth> health_;
  std::optional<ConnectFailure> failure_;  // of the latest attempt to connect
  uint64_t retry_at_ms_ = 0;               // while it has failed
  uint64_t room_asked_ms_ = 0;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace mosaic::pool
