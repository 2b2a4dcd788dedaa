#pragma once
// Where a node is reached: its host as addresses that the kernel takes, and sockets on their way to them.
// Never blocks.

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pool/event_loop.h"
#include "pool/pool_settings.h"
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
// Of no effect on what is not TCP.
void set_keepalive(int fd, const KeepaliveSettings& settings);
// 0, or the errno with which the connection has failed.
int connect_error(int fd);

// The addresses of `node`: at least one, or why there is none. `done` is called once, from the loop and never
// from inside this; not at all once `alive` says that nobody is left to be told.
using OnAddresses = std::function<void(routing::Result<std::vector<SocketAddress>>)>;
void find_addresses(EventLoop& loop, const NodeAddress& node, std::shared_ptr<bool> alive, OnAddresses done);

}  // namespace mosaic::pool
