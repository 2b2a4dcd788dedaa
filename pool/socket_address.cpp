#include "pool/socket_address.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "routing/sqlstate.h"

namespace mosaic::pool {

namespace {

using routing::Error;

// Nothing when `host` is no numeric address: then it is a name. Asks nobody.
std::optional<SocketAddress> numeric_address(const std::string& host, uint16_t port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0) return std::nullopt;
  SocketAddress address;
  std::memcpy(&address.address, found->ai_addr, found->ai_addrlen);
  address.bytes = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

// The socket that PostgreSQL makes in `folder`; nothing when the path is too long for one.
std::optional<SocketAddress> local_address(const std::string& folder, uint16_t port) {
  const std::string path = fmt::format("{}/.s.PGSQL.{}", folder, port);
  sockaddr_un local{};
  if (path.size() >= sizeof local.sun_path) return std::nullopt;
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.c_str(), path.size() + 1);
  SocketAddress address;
  std::memcpy(&address.address, &local, sizeof local);
  address.bytes = sizeof local;
  return address;
}

routing::Result<std::vector<SocketAddress>> addresses_of(const NodeAddress& node,
                                                         const NameLookups::Answer& answer) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : answer.addresses) {
    if (const auto address = numeric_address(text, node.port)) addresses.push_back(*address);
  }
  if (!addresses.empty()) return addresses;
  return Error{routing::sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", node.name),
               fmt::format("cannot resolve host \"{}\": {}", node.host, answer.error),
               fmt::format("check [nodes.{}] host", node.name)};
}

}  // namespace

std::string SocketAddress::to_text() const {
  if (address.ss_family == AF_UNIX) {
    return fmt::format("on socket \"{}\"", reinterpret_cast<const sockaddr_un*>(&address)->sun_path);
  }
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
  getnameinfo(reinterpret_cast<const sockaddr*>(&address), bytes, host, sizeof host, port, sizeof port,
              NI_NUMERICHOST | NI_NUMERICSERV);
  return fmt::format("at \"{}\", port {}", host, port);
}

int connect_socket(const SocketAddress& address) {
  const int fd = ::socket(address.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (address.address.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.address), address.bytes) == 0 ||
      errno == EINPROGRESS || errno == EINTR) {
    return fd;
  }
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return -1;
}

void set_keepalive(int fd, const KeepaliveSettings& settings) {
  const auto set = [fd](int option, uint32_t value) {
    const auto number = static_cast<int>(value);
    if (value > 0) setsockopt(fd, IPPROTO_TCP, option, &number, sizeof number);
  };
  constexpr uint32_t kSecondsMax = 32'767;  // MAX_TCP_KEEPIDLE of Linux, which refuses more
  const auto whole_seconds = [&](uint32_t ms) { return std::min((ms + 999) / 1000, kSecondsMax); };
  set(TCP_KEEPIDLE, whole_seconds(settings.idle_ms));
  set(TCP_KEEPINTVL, whole_seconds(settings.interval_ms));
  set(TCP_KEEPCNT, settings.count);
  set(TCP_USER_TIMEOUT, settings.user_timeout_ms);
}

int connect_error(int fd) {
  int reason = 0;
  socklen_t size = sizeof reason;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
  return reason;
}

void find_addresses(EventLoop& loop, const NodeAddress& node, std::shared_ptr<bool> alive, OnAddresses done) {
  const auto tell_later = [&](routing::Result<std::vector<SocketAddress>> found) {
    loop.defer([found = std::move(found), done, alive] {
      if (*alive) done(found);
    });
  };
  if (!node.host.empty() && node.host.front() == '/') {
    const auto address = local_address(node.host, node.port);
    if (address) return tell_later(std::vector{*address});
    return tell_later(Error{routing::sqlstate::kNodeDown,
                            fmt::format("cannot connect to node \"{}\"", node.name),
                            fmt::format("the path of the socket in \"{}\" is too long", node.host),
                            fmt::format("check [nodes.{}] host", node.name)});
  }
  if (const auto address = numeric_address(node.host, node.port)) return tell_later(std::vector{*address});
  loop.resolve(node.host,
               [node, alive = std::move(alive), done = std::move(done)](const NameLookups::Answer& answer) {
                 if (*alive) done(addresses_of(node, answer));
               });
}

}  // namespace mosaic::pool
