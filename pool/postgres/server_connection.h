#pragma once
// One connection to a PostgreSQL node. libpq connects and authenticates it; then the proxy speaks the wire
// protocol on its socket itself. It knows nothing of clients or routing: whoever holds it (Holder) gets its
// events.

#include <memory>
#include <optional>
#include <string>

#include "pool/byte_stream.h"
#include "pool/event_loop.h"
#include "pool/pool_settings.h"
#include "pool/postgres/name_values.h"
#include "pool/postgres/server_memory.h"
#include "routing/result.h"

struct pg_conn;
struct pg_cancel;

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
  using OnConnected = std::function<void(ServerConnection&, std::optional<routing::Error>)>;
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
  // Asks the server to cancel what this connection runs (a connection of its own, off the loop). The
  // connection must not be given to another client before `done`: a late cancel would hit the wrong query.
  // `done` is not called once the connection is destroyed.
  void cancel(std::function<void()> done);
  bool is_cancel_pending() const { return pending_cancels_ > 0; }

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
  uint64_t generation() const { return generation_; }
  void set_generation(uint64_t generation) { generation_ = generation; }
  uint64_t connected_ms() const { return connected_ms_; }
  uint16_t local_port() const;

  // Bytes of a frame whose rest has not come yet; belongs to whoever parses the stream.
  routing::ByteBuffer& partial() { return partial_; }

 private:
  void on_socket(int events) override;
  void start(const std::string& host_address);
  void poll_connect();
  void finish(std::optional<routing::Error> error);
  void read_session_start(NameValuesTable& tables);

  EventLoop* loop_;
  NameValuesTable* tables_;
  NodeAddress address_;
  std::string user_, password_;
  uint64_t id_;
  OnConnected on_connected_;
  OnIdleEvent on_idle_event_;
  Holder* holder_ = nullptr;
  std::unique_ptr<pg_conn, void (*)(pg_conn*)> connection_;
  std::shared_ptr<pg_cancel> cancel_;
  std::optional<SocketWatcher> connect_watcher_;
  int connect_fd_ = -1;
  std::optional<ByteStream> stream_;
  ServerMemory memory_;
  routing::ByteBuffer partial_;
  uint64_t connected_ms_ = 0, state_since_ms_ = 0, generation_ = 0;
  State state_ = State::kConnecting;
  int pending_cancels_ = 0;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  // for callbacks that may come late
};

}  // namespace mosaic::pool
