#pragma once
// Makes one server connection, without ever blocking its loop: looks the host up, connects, logs in. Owned by
// the ServerConnection that waits for it; keeps no time limit (ConnectionPool::on_tick does: destroying it
// ends the attempt).

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/byte_stream.h"
#include "pool/event_loop.h"
#include "pool/node_health.h"
#include "pool/pool_settings.h"
#include "pool/postgres/server_login.h"
#include "pool/socket_address.h"
#include "routing/result.h"

namespace mosaic::pool {

class ServerConnector final : public SocketWatcher::Handler {
 public:
  struct Session {
    int fd = -1;  // the receiver's
    NameValues::Entries parameters;
    BackendKey key;
  };
  // One of the two.
  struct Outcome {
    std::optional<Session> session;
    std::optional<ConnectFailure> failure;
  };
  using OnDone = std::function<void(Outcome)>;

  // `done` is called once, from the loop and never from inside start(); the connector may be destroyed in it.
  ServerConnector(EventLoop& loop, const NodeAddress& node, ServerLogin::Credentials credentials,
                  OnDone done);
  ~ServerConnector();
  ServerConnector(const ServerConnector&) = delete;
  ServerConnector& operator=(const ServerConnector&) = delete;

  void start();

 private:
  void on_socket(int events) override;
  void try_next_address();
  void on_login_bytes();
  void fail(ConnectFailure::Kind kind, std::string detail);
  void on_login_failed();
  void end(ConnectFailure::Kind kind, routing::Error error);
  std::string with_place(const std::string& what) const;

  EventLoop& loop_;
  NodeAddress node_;
  ServerLogin::Credentials credentials_;
  OnDone done_;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  bool is_connected_ = false;
  ConnectFailure::Kind last_kind_ = ConnectFailure::Kind::kUnreachable;  // of an address
  std::string last_failure_;
  std::optional<ByteStream> stream_;
  std::optional<ServerLogin> login_;
  routing::ByteBuffer in_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  // for callbacks that may come late
};

}  // namespace mosaic::pool
