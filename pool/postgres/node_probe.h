#pragma once
// Asks a node for a sign of life, without a login. Never blocks; keeps no time limit: whoever owns it ends it
// by destroying it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/event_loop.h"
#include "pool/node_health.h"
#include "pool/socket_address.h"

namespace mosaic::pool {

class NodeProbe final : public SocketWatcher::Handler {
 public:
  enum class Question : uint8_t {
    kAlive,  // an SSLRequest, which a new server process answers with one byte before it looks at anything
    kReady,  // a start-up packet: any answer but "the database system is starting up" will do. The node's
             // log tells of it, so it is asked only of a node that is down
  };
  using OnDone = std::function<void(std::optional<ConnectFailure>)>;

  // `done` is called once, from the loop and never from inside this; the probe may not be destroyed in it,
  // but deferred.
  NodeProbe(EventLoop& loop, NodeAddress node, Question question, OnDone done);
  ~NodeProbe();
  NodeProbe(const NodeProbe&) = delete;
  NodeProbe& operator=(const NodeProbe&) = delete;

 private:
  void on_socket(int events) override;
  void try_next_address();
  void on_answer(std::string_view bytes);
  void finish(std::optional<ConnectFailure> failure);
  void fail(int reason);
  std::string message() const;

  EventLoop& loop_;
  NodeAddress node_;
  Question question_;
  OnDone done_;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  int fd_ = -1;
  int last_reason_ = 0;  // errno
  bool is_sent_ = false;
  std::string answer_;
  std::optional<SocketWatcher> watcher_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

// Probes all nodes, one probe for each at a time. For the whole process there is one; it lives in a loop.
class NodeProber {
 public:
  struct Limits {
    uint32_t probe_interval_ms = 0;  // 0: no probes
    uint32_t stall_timeout_ms = 0;
  };
  explicit NodeProber(EventLoop& loop) : loop_(loop) {}
  // By NodeId. A node whose address has changed is asked anew, one that has been removed no more.
  void set_nodes(const std::vector<NodeSettings>& nodes, const NodeHealths& healths);
  void on_tick(Limits limits, uint64_t now_ms);

 private:
  struct Place {
    NodeAddress address;
    std::shared_ptr<NodeHealth> health;
    std::unique_ptr<NodeProbe> probe;
    uint64_t sent_ms = 0, sent_us = 0, next_ms = 0;
  };
  void begin(Place& place, uint64_t now_ms);
  void end(Place& place);

  EventLoop& loop_;
  std::vector<std::unique_ptr<Place>> places_;  // null: the node has been removed
};

}  // namespace mosaic::pool
