#include "pool/postgres/server_connector.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pool/postgres/libpq_password.h"
#include "routing/sqlstate.h"

namespace mosaic::pool {

namespace {

using routing::Error;
namespace sqlstate = routing::sqlstate;

constexpr size_t kReadBytes = 8 << 10;

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

ServerConnector::ServerConnector(EventLoop& loop, const NodeAddress& node,
                                 ServerLogin::Credentials credentials, OnDone done)
    : loop_(loop), node_(node), credentials_(std::move(credentials)), done_(std::move(done)) {}

ServerConnector::~ServerConnector() {
  *is_alive_ = false;
  wipe(credentials_.password);
}

void ServerConnector::start() {
  const auto in_the_loop = [this](std::function<void()> action) {
    loop_.defer([action = std::move(action), alive = is_alive_] {
      if (*alive) action();
    });
  };
  if (credentials_.password.empty()) credentials_.password = find_libpq_password(node_, credentials_.user);
  if (!node_.host.empty() && node_.host.front() == '/') {
    in_the_loop([this] {
      const auto address = local_address(node_.host, node_.port);
      if (!address) return fail(fmt::format("the path of the socket in \"{}\" is too long", node_.host));
      on_addresses({*address});
    });
    return;
  }
  if (const auto address = numeric_address(node_.host, node_.port)) {
    in_the_loop([this, address] { on_addresses({*address}); });
    return;
  }
  loop_.resolve(node_.host, [this, alive = is_alive_](const NameLookups::Answer& answer) {
    if (!*alive) return;
    std::vector<SocketAddress> addresses;
    for (const std::string& text : answer.addresses) {
      if (const auto address = numeric_address(text, node_.port)) addresses.push_back(*address);
    }
    if (addresses.empty()) {
      return fail(fmt::format("cannot resolve host \"{}\": {}", node_.host, answer.error),
                  fmt::format("check [nodes.{}] host", node_.name));
    }
    on_addresses(std::move(addresses));
  });
}

void ServerConnector::on_addresses(std::vector<SocketAddress> addresses) {
  addresses_ = std::move(addresses);
  try_next_address();
}

void ServerConnector::try_next_address() {
  while (next_address_ < addresses_.size()) {
    stream_.reset();
    const int fd = connect_socket(addresses_[next_address_++]);
    if (fd >= 0) {
      // Not connected yet: what is queued goes out when the socket becomes writable.
      stream_.emplace(loop_, fd, true, *this);
      login_.emplace(credentials_, make_scram_nonce());
      login_->begin(stream_->out());
      stream_->wait_for_room();
      return;
    }
    last_failure_ = with_place(std::strerror(errno));
  }
  fail(last_failure_);
}

void ServerConnector::on_socket(int events) {
  if (!is_connected_) {
    int reason = 0;
    socklen_t size = sizeof reason;
    getsockopt(stream_->fd(), SOL_SOCKET, SO_ERROR, &reason, &size);
    if (reason != 0) {
      last_failure_ = with_place(std::strerror(reason));
      try_next_address();
      return;
    }
    is_connected_ = (events & SocketWatcher::kWritable) != 0;
  }
  if ((events & SocketWatcher::kWritable) != 0 && !stream_->on_writable())
    return fail(with_place("the server closed the connection"));
  if ((events & SocketWatcher::kReadable) == 0) return;
  std::array<char, kReadBytes> buffer;
  const auto result = stream_->read(buffer);
  if (result.is_lost) return fail(with_place("the server closed the connection during the login"));
  in_.append(buffer.data(), result.bytes);
  on_login_bytes();
}

void ServerConnector::on_login_bytes() {
  switch (login_->on_bytes(in_, stream_->out())) {
    case ServerLogin::State::kMore:
      if (!stream_->flush()) fail(with_place("the server closed the connection during the login"));
      return;
    case ServerLogin::State::kFailed: {
      const Error& error = login_->error();
      const bool is_from_server = error.sqlstate != sqlstate::kProtocolViolation;
      std::string what = is_from_server ? "FATAL:  " + error.message : error.message;
      if (!error.detail.empty()) what += " (" + error.detail + ")";
      return fail(with_place(what), error.hint);
    }
    case ServerLogin::State::kReady:
      break;
  }
  Session session{-1, login_->parameters(), login_->backend_key()};
  session.fd = stream_->release();
  stream_.reset();
  std::exchange(done_, nullptr)(std::move(session));
}

std::string ServerConnector::with_place(const std::string& what) const {
  return fmt::format("connection to server {} failed: {}", addresses_[next_address_ - 1].to_text(), what);
}

void ServerConnector::fail(std::string detail, std::string hint) {
  stream_.reset();
  if (hint.empty()) hint = "its shards are not available until it is back";
  std::exchange(done_,
                nullptr)(Error{sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", node_.name),
                               std::move(detail), std::move(hint)});
}

}  // namespace mosaic::pool
