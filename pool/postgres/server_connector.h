#pragma once
// Makes one server connection, without ever blocking its loop: looks the host up, connects, logs in. Owned by
// the ServerConnection that waits for it; keeps no time limit (ConnectionPool::on_tick does: destroying it
// ends the attempt).

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/byte_stream.h"
#include "pool/event_loop.h"
#include "pool/pool_settings.h"
#include "pool/postgres/server_login.h"
#include "routing/result.h"

namespace mosaic::pool {

// An address to connect to, as the kernel takes it.
struct SocketAddress {
  sockaddr_storage address{};
  socklen_t bytes = 0;

  std::string to_text() const;  // for errors, in libpq's words
};

// A new socket of the address's family, non-blocking, on its way to it; -1 and errno when it can not be. A
// connection to a TCP port is there once the socket is writable.
int connect_socket(const SocketAddress& address);

class ServerConnector final : public SocketWatcher::Handler {
 public:
  struct Session {
    int fd = -1;  // the receiver's
    NameValues::Entries parameters;
    BackendKey key;
  };
  using OnDone = std::function<void(routing::Result<Session>)>;

  // `done` is called once, from the loop and never from inside start(); the connector may be destroyed in it.
  ServerConnector(EventLoop& loop, const NodeAddress& node, ServerLogin::Credentials credentials,
                  OnDone done);
  ~ServerConnector();
  ServerConnector(const ServerConnector&) = delete;
  ServerConnector& operator=(const ServerConnector&) = delete;

  void start();

 private:
  void on_socket(int events) override;
  void on_addresses(std::vector<SocketAddress> addresses);
  void try_next_address();
  void on_login_bytes();
  void fail(std::string detail, std::string hint = {});
  std::string with_place(const std::string& what) const;

  EventLoop& loop_;
  NodeAddress node_;
  ServerLogin::Credentials credentials_;
  OnDone done_;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  bool is_connected_ = false;
  std::string last_failure_;  // of an address
  std::optional<ByteStream> stream_;
  std::optional<ServerLogin> login_;
  routing::ByteBuffer in_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  // for callbacks that may come late
};

}  // namespace mosaic::pool
