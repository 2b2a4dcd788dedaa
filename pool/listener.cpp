#include "pool/listener.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "routing/sqlstate.h"

namespace mosaic::pool {

using routing::Error;

namespace {

// Accepted at most per turn, so that a storm of connects does not starve those who are connected.
constexpr int kAcceptsPerTurn = 64;

struct Peer {
  std::string address;
  uint16_t port = 0;
};

Peer peer_of(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  return {text, ntohs(v6.sin6_port)};
}

}  // namespace

namespace {

Error listen_error(const std::string& address, uint16_t port, const char* what, const std::string& why) {
  return Error{routing::sqlstate::kConfigError,
               fmt::format("cannot listen on {}:{}: {}", address, port, what), why,
               "check [listen] address and port, and what else listens there (ss -ltnp)"};
}

// A bound, non-blocking socket.
routing::Result<int> bind_socket(const std::string& address, uint16_t port, bool shares_port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const char* host = address == "*" ? nullptr : address.c_str();
  const int status = getaddrinfo(host, std::to_string(port).c_str(), &wanted, &found);
  if (status != 0) return listen_error(address, port, "no such address", gai_strerror(status));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return listen_error(address, port, "no socket", std::strerror(errno));
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shares_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(fd, found->ai_addr, found->ai_addrlen) == 0) return fd;
  const std::string why = std::strerror(errno);
  ::close(fd);
  return listen_error(address, port, "cannot bind", why);
}

}  // namespace

routing::Status Listener::probe(const std::string& address, uint16_t port) {
  const auto fd = bind_socket(address, port, false);
  if (!fd) return fd.error();
  ::close(*fd);
  return {};
}

routing::Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const std::string& address,
                                                          uint16_t port, uint32_t backlog,
                                                          OnAccept on_accept) {
  const auto fd = bind_socket(address, port, true);
  if (!fd) return fd.error();
  if (::listen(*fd, static_cast<int>(backlog)) != 0) {
    const std::string why = std::strerror(errno);
    ::close(*fd);
    return listen_error(address, port, "cannot listen", why);
  }
  return std::unique_ptr<Listener>(new Listener(loop, *fd, std::move(on_accept)));
}

Listener::Listener(EventLoop& loop, int fd, OnAccept on_accept) : fd_(fd), on_accept_(std::move(on_accept)) {
  watcher_.emplace(loop, fd, *this);
  watcher_->watch(SocketWatcher::kReadable);
}

Listener::~Listener() {
  watcher_.reset();
  ::close(fd_);
}

uint16_t Listener::port() const {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
  return peer_of(bound).port;
}

void Listener::on_tick() {
  if (!is_paused_) return;
  is_paused_ = false;
  watcher_->watch(SocketWatcher::kReadable);
}

void Listener::on_socket(int) {
  for (int accepted = 0; accepted < kAcceptsPerTurn; ++accepted) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // The kernel would report the same readiness again and again.
        is_paused_ = true;
        watcher_->watch(0);
      }
      return;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    Peer peer = peer_of(from);
    on_accept_(fd, std::move(peer.address), peer.port);
  }
}

}  // namespace mosaic::pool
