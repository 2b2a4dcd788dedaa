#pragma once
// One connection to a PostgreSQL node, from its login (ServerConnector's) to its end, and the cancel requests
// for what it runs. It knows nothing of clients or routing: whoever holds it (Holder) gets its events.
// Nothing here blocks, also not when the node is frozen: not to connect, not to cancel, not to close.

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>

#include "pool/byte_stream.h"
#include "pool/event_loop.h"
#include "pool/pool_settings.h"
#include "pool/postgres/cancel_request.h"
#include "pool/postgres/name_values.h"
#include "pool/postgres/server_connector.h"
#include "pool/postgres/server_memory.h"
#include "routing/result.h"

namespace mosaic::pool {

class ServerConnection final : public SocketWatcher::Handler {
 public:
  // Gets the events of a connection while it holds it. Events come from the loop only, never from inside a
  // call.
  class Holder {
   public:
    virtual void on_server_readable() = 0;
    virtual void on_server_writable() = 0;  // queued bytes went out
    virtual void on_server_lost() = 0;      // a write failed: the connection is of no more use

   protected:
    ~Holder() = default;
  };
  using OnConnected = std::function<void(ServerConnection&, std::optional<ConnectFailure>)>;
  // Something came while nobody held it: end of stream, or the server shutting down.
  using OnIdleEvent = std::function<void(ServerConnection&)>;

  ServerConnection(EventLoop& loop, NameValuesTable& tables, routing::NodeId node, const NodeAddress& address,
                   const std::string& user, const std::string& password, uint64_t id);
  ~ServerConnection();

  void connect(OnConnected done);
  // Between loops: leave() on the old loop's thread, join() on the new one's. Only while nobody holds it.
  void leave_loop();
  void join_loop(EventLoop& loop, NameValuesTable& tables);

  void set_holder(Holder* holder) { holder_ = holder; }
  Holder* holder() const { return holder_; }
  void set_on_idle_event(OnIdleEvent handler) { on_idle_event_ = std::move(handler); }

  ByteStream& stream() { return *stream_; }
  ServerMemory& memory() { return memory_; }
  const ServerMemory& memory() const { return memory_; }
  // Asks the server to cancel what this connection runs. The connection must not be given to another client
  // before `done`: a late cancel would hit the wrong query. Asked again meanwhile, it sends another one when
  // the first is done, and calls the last `done` only. `done` is not called once the connection is destroyed
  // or the cancel given up.
  using OnCanceled = std::function<void(CancelRequest::End)>;
  void cancel(OnCanceled done);
  void give_up_cancel();
  bool is_cancel_pending() const { return cancel_ != nullptr; }
  uint64_t cancel_since_ms() const { return cancel_since_ms_; }  // while one is pending
  // A cancel was given up that the server may still act on, at any time: nobody else may get this connection.
  bool is_cancel_in_doubt() const { return is_cancel_in_doubt_; }

  routing::NodeId node() const { return memory_.node; }
  const std::string& user() const { return user_; }
  uint64_t id() const { return id_; }
  // Where it stands in its pool; changed by Pool::move_to alone.
  enum class State : uint8_t { kConnecting, kIdle, kActive, kCanceling, kClosing };
  State state() const { return state_; }
  void set_state(State state, uint64_t now_ms) {
    state_ = state;
    state_since_ms_ = now_ms;
  }
  uint64_t state_since_ms() const { return state_since_ms_; }
  bool leads_to(const NodeAddress& address, const std::string& password) const {
    return address_ == address && password_ == password;
  }
  // The node's address or the user's password is another by now: nobody else gets this connection.
  bool is_outdated() const { return is_outdated_; }
  void set_outdated() { is_outdated_ = true; }
  uint64_t connected_ms() const { return connected_ms_; }
  std::string local_address() const;  // empty: none, or a Unix socket
  uint16_t local_port() const;        // likewise 0
  void set_keepalive(const KeepaliveSettings& settings) const { pool::set_keepalive(fd_, settings); }
  size_t unsent_bytes() const { return stream_ ? stream_->pending_bytes() : 0; }

  // Bytes of a frame whose rest has not come yet; belongs to whoever parses the stream.
  routing::ByteBuffer& partial() { return partial_; }

 private:
  void on_socket(int events) override;
  void on_outcome(ServerConnector::Outcome outcome, const OnConnected& done);
  void on_cancel_end(CancelRequest::End end);
  void close_socket();
  sockaddr_storage own_address() const;

  EventLoop* loop_;
  NameValuesTable* tables_;
  NodeAddress address_;
  std::string user_, password_;
  uint64_t id_;
  OnIdleEvent on_idle_event_;
  Holder* holder_ = nullptr;
  std::unique_ptr<ServerConnector> connector_;  // until it is connected
  int fd_ = -1;
  std::optional<ByteStream> stream_;
  ServerMemory memory_;
  routing::ByteBuffer partial_;
  uint64_t connected_ms_ = 0, state_since_ms_ = 0;
  bool is_outdated_ = false;
  State state_ = State::kConnecting;
  BackendKey key_;
  std::unique_ptr<CancelRequest> cancel_;
  OnCanceled on_canceled_;
  uint64_t cancel_since_ms_ = 0;
  bool is_cancel_wanted_again_ = false;
  bool is_cancel_in_doubt_ = false;
};

}  // namespace mosaic::pool
