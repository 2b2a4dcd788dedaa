#pragma once
// A client's socket on one side, its leased server connection on the other: gives what comes from either to
// the FramePump, does for it what needs sockets and pools, sends what is queued at the end of each turn of
// the event loop. Routes nothing, cuts no frames.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pool/byte_stream.h"
#include "pool/connection_pool.h"
#include "pool/event_sink.h"
#include "proxy/postgres/cancel_registry.h"
#include "proxy/postgres/client_clock.h"
#include "proxy/postgres/frame_pump.h"
#include "proxy/postgres/login/login.h"
#include "proxy/report.h"
#include "proxy/shard_gate.h"

namespace mosaic::proxy {

class Worker;
struct UserPools;

// Identifies a client of one worker for callbacks that may come late.
struct ClientHandle {
  uint32_t slot = 0;
  uint64_t generation = 0;
};

class ClientConnection final : public pool::SocketWatcher::Handler,
                               public pool::ServerConnection::Holder,
                               public pool::Waiter,
                               public ShardGate::Client,
                               public FramePump::Driver {
 public:
  ClientConnection(Worker& worker, ClientHandle handle, int fd, std::string address, uint16_t port);
  ~ClientConnection() override;

  ClientHandle handle() const { return handle_; }
  bool is_logged_in() const { return pump_.has_value(); }
  void on_cancel_request();
  void on_tick(uint64_t now_ms);
  void on_shutdown();
  void on_node_change(routing::NodeId node);
  void close_now(std::string_view why);  // at once, without a word
  void turn_away();                      // there are too many, before it has said anything
  ClientReport report(uint64_t now_ms, bool with_statement) const;
  // The end of a turn in which it had events: sends what is queued, adjusts reading, closes when done.
  void flush_server();
  void end_turn();

 private:
  // Runs below this are gathered into one write; larger ones are sent from where they were read.
  static constexpr size_t kGatheredBytes = 16 << 10;

  // From the loop and the pool.
  void on_socket(int events) override;
  void on_server_readable() override;
  void on_server_writable() override;
  void on_server_lost() override;
  void on_lease(pool::ServerConnection& server) override;
  void on_lease_failed(const routing::Error& error) override;
  void on_gate_open() override;
  void on_gate_failed(const routing::Error& error) override;
  bool can_use_any_node() const override { return lease_.is_any_node_good; }

  // For the pump. Back-pressure: a client that does not read its replies is not asked for more statements.
  bool takes_client_bytes() const override { return !is_closing_; }
  bool has_reply_room() const override;
  void forward(std::string_view run) override;
  FramePump::LeaseAnswer ask_for_lease(const LeaseRequest& request) override;
  void stop_waiting() override;
  void end_lease(LeaseEnd end) override;
  void cancel_server() override;
  void close_client() override;
  void on_slow_statement(const SlowStatement& statement) override;

  void on_client_bytes(std::string_view bytes);
  void on_login_bytes();
  void start_session();
  void hand_to_console();
  FramePump::Lease attach(pool::ServerConnection& server);
  bool is_reply_to_follow() const;
  void flush_streams();
  void finish_turn();  // asks for end_turn()
  void update_reading();
  void on_client_gone(std::string_view why);
  void begin_closing(std::string_view why);
  void lose_server();
  routing::Error server_lost_error() const;
  routing::Error too_many_error() const;
  void reject(const routing::Error& error);
  ClientClock::Doing doing() const;
  pool::Event event(pool::Severity severity, std::string_view name) const;
  pool::Event statement_event(pool::Severity severity, std::string_view name) const;
  void add_statement(pool::Event& event, const routing::ShapeUse* shape, int shard) const;
  std::string_view node_name(uint16_t node) const;
  void tell_lease_failed(const routing::Error& error) const;
  void count_bytes();
  void report_statement(ClientReport& report) const;

  struct LoggingIn {
    Login login;
    routing::ByteBuffer in;  // client bytes not taken yet
  };
  // Of the server that it has, or waits for.
  struct LeaseTimes {
    uint64_t asked_us = 0, began_us = 0;  // monotonic
    uint16_t node = 0;
    bool is_any_node_good = false;  // of what it waits for
  };

  Worker& worker_;
  ClientHandle handle_;
  std::optional<pool::ByteStream> stream_;  // none: the client is gone
  std::unique_ptr<LoggingIn> login_;        // until it has logged in
  routing::ByteBuffer discarded_;           // what the session says to a client that is gone
  std::optional<FramePump> pump_;           // from then on
  UserPools* pools_ = nullptr;
  pool::ConnectionPool* pool_ = nullptr;  // of server_
  pool::ServerConnection* server_ = nullptr;
  LeaseTimes lease_;
  bool has_asked_ = false;         // something came since it has logged in
  bool has_server_bytes_ = false;  // among what is queued for the client
  bool is_closing_ = false;
  bool is_removed_ = false;
  bool is_server_lost_ = false;  // and the lease about to end
  bool is_turn_open_ = false;    // end_turn() will be called

  std::optional<CancelKey> cancel_key_;
  std::string address_;
  uint16_t port_ = 0;
  uint64_t id_ = 0;
  ClientClock clock_;
  uint64_t bytes_received_ = 0, bytes_sent_ = 0;  // of the stream, counted
  uint64_t held_back_since_us_ = 0;               // the server is not read from; 0: it is
};

}  // namespace mosaic::proxy
