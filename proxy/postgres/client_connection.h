#pragma once
// The one driver of a Session: a client's socket on one side, its leased server connection on the other. Cuts
// bytes into frames and shows them to the session (client_frames.cpp), carries out what the session's Outbox
// asks for (client_connection.cpp). Routes nothing, parses no body.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pool/byte_stream.h"
#include "pool/connection_pool.h"
#include "proxy/postgres/cancel_registry.h"
#include "proxy/postgres/login/login.h"
#include "proxy/postgres/session/outbox.h"
#include "proxy/postgres/session/session.h"
#include "proxy/report.h"

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
                               public pool::Waiter {
 public:
  ClientConnection(Worker& worker, ClientHandle handle, int fd, std::string address, uint16_t port);
  ~ClientConnection();

  ClientHandle handle() const { return handle_; }
  bool is_logged_in() const { return session_.has_value(); }
  void on_cancel_request();
  void on_tick(uint64_t now_ms);
  void on_shutdown();
  void close_now();  // at once, without a word
  ClientReport report(uint64_t now_ms) const;
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

  // Back-pressure: a client that does not read its replies is not asked for more statements.
  bool has_reply_room() const;
  void on_client_bytes(std::string_view bytes);
  void on_login_bytes();
  void start_session();
  void hand_to_console();
  size_t process_client(std::string_view bytes);
  void pump_client();
  bool process_server(std::string_view bytes);
  void forward(std::string_view run);
  void run_actions();
  void attach(pool::ServerConnection& server);
  void detach(LeaseEnd end);
  bool is_reply_to_follow() const;
  void flush_streams();
  void finish_turn();  // asks for end_turn()
  void update_reading();
  void on_client_gone();
  void lose_server();
  routing::Error server_lost_error() const;
  void reject(const routing::Error& error);
  void close_after_flush();

  Worker& worker_;
  ClientHandle handle_;
  std::optional<pool::ByteStream> stream_;
  std::unique_ptr<Login> login_;
  Outbox outbox_;
  routing::ByteBuffer discarded_;  // what the session says to a client that is gone
  std::optional<Session> session_;
  UserPools* pools_ = nullptr;
  pool::ConnectionPool* pool_ = nullptr;  // of server_
  pool::ServerConnection* server_ = nullptr;
  routing::ByteBuffer in_;            // client bytes not taken yet
  uint32_t copy_remaining_ = 0;       // of a CopyData body under way from the client
  size_t server_body_remaining_ = 0;  // of a server frame under way
  bool is_forwarding_body_ = false;
  bool is_held_back_ = false;      // frames were left in in_ for want of room for their replies
  bool has_asked_ = false;         // something came since it has logged in
  bool has_server_bytes_ = false;  // among what is queued for the client
  bool is_closing_ = false;
  bool is_removed_ = false;
  bool is_turn_open_ = false;  // end_turn() will be called

  std::optional<CancelKey> cancel_key_;
  std::string address_;
  uint16_t port_ = 0;
  uint64_t id_ = 0;
  uint64_t connected_us_ = 0;   // Unix time
  uint64_t active_ms_ = 0;      // last sign of life of the client
  uint64_t busy_since_ms_ = 0;  // when the running statement was sent, 0: none
  uint64_t idle_since_ms_ = 0;  // when the last statement ended
  uint64_t closing_since_ms_ = 0;
  uint64_t lease_asked_us_ = 0, lease_began_us_ = 0;  // monotonic
  uint16_t lease_node_ = 0;
};

}  // namespace mosaic::proxy
