#include "pool/postgres/server_connector.h"

#include <fmt/format.h>

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

using Kind = ConnectFailure::Kind;

// What an operator is to do about a login that the node refuses, by its SQLSTATE.
std::string advice(const std::string& code, const NodeAddress& node, const ServerLogin::Credentials& login) {
  if (code == sqlstate::kInvalidPassword) {
    return fmt::format(
        "the node wants another password of \"{}\" than [auth] file or the password file of "
        "Mosaic's account has: correct it and RELOAD",
        login.user);
  }
  if (code == sqlstate::kInvalidAuthorization) {
    return fmt::format("create the role \"{}\" on node \"{}\", or let it in by that node's pg_hba.conf",
                       login.user, node.name);
  }
  if (code == sqlstate::kUnknownDatabase)
    return fmt::format("create the database, or correct [nodes.{}] dbname", node.name);
  return fmt::format("let user \"{}\" log in to node \"{}\"", login.user, node.name);
}

}  // namespace

ServerConnector::ServerConnector(EventLoop& loop, const NodeAddress& node,
                                 ServerLogin::Credentials credentials, OnDone done)
    : loop_(loop), node_(node), credentials_(std::move(credentials)), done_(std::move(done)) {}

ServerConnector::~ServerConnector() {
  *is_alive_ = false;
  wipe(credentials_.password);
}

void ServerConnector::start() {
  if (credentials_.password.empty()) credentials_.password = find_libpq_password(node_, credentials_.user);
  find_addresses(loop_, node_, is_alive_, [this](routing::Result<std::vector<SocketAddress>> found) {
    if (!found) return end(Kind::kUnreachable, found.error());
    addresses_ = std::move(*found);
    try_next_address();
  });
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
    // A local socket whose queue is full says so at once.
    last_kind_ = errno == EAGAIN ? Kind::kNoAnswer : Kind::kUnreachable;
    last_failure_ = with_place(std::strerror(errno));
  }
  fail(last_kind_, last_failure_);
}

void ServerConnector::on_socket(int events) {
  if (!is_connected_) {
    if (const int reason = connect_error(stream_->fd()); reason != 0) {
      last_kind_ = reason == ETIMEDOUT ? Kind::kNoAnswer : Kind::kUnreachable;
      last_failure_ = with_place(std::strerror(reason));
      try_next_address();
      return;
    }
    is_connected_ = (events & SocketWatcher::kWritable) != 0;
  }
  if ((events & SocketWatcher::kWritable) != 0 && !stream_->on_writable())
    return fail(Kind::kUnreachable, with_place("the server closed the connection"));
  if ((events & SocketWatcher::kReadable) == 0) return;
  std::array<char, kReadBytes> buffer;
  const auto result = stream_->read(buffer);
  if (result.is_lost)
    return fail(Kind::kUnreachable, with_place("the server closed the connection during the login"));
  in_.append(buffer.data(), result.bytes);
  on_login_bytes();
}

void ServerConnector::on_login_bytes() {
  switch (login_->on_bytes(in_, stream_->out())) {
    case ServerLogin::State::kMore:
      if (!stream_->flush())
        fail(Kind::kUnreachable, with_place("the server closed the connection during the login"));
      return;
    case ServerLogin::State::kFailed:
      return on_login_failed();
    case ServerLogin::State::kReady:
      break;
  }
  Session session{-1, login_->parameters(), login_->backend_key()};
  session.fd = stream_->release();
  stream_.reset();
  std::exchange(done_, nullptr)({std::move(session), std::nullopt});
}

std::string ServerConnector::with_place(const std::string& what) const {
  return fmt::format("connection to server {} failed: {}", addresses_[next_address_ - 1].to_text(), what);
}

// Not the node is at fault where it says that it does not want this user.
void ServerConnector::on_login_failed() {
  const Error& said = login_->error();
  const bool is_from_server = said.sqlstate != sqlstate::kProtocolViolation;
  std::string what = is_from_server ? "FATAL:  " + said.message : said.message;
  if (!said.detail.empty()) what += " (" + said.detail + ")";
  Error error{sqlstate::kNodeDown, "", with_place(what), said.hint};
  if (said.sqlstate == sqlstate::kCannotConnectNow) {
    error.message = fmt::format("node \"{}\" takes no connections now", node_.name);
    error.hint = "it starts, recovers or shuts down: its shards are not available until it is ready";
    return end(Kind::kStarting, std::move(error));
  }
  if (said.sqlstate == sqlstate::kTooManyConnections) {
    error.sqlstate = sqlstate::kTooManyConnections;
    error.message = fmt::format("node \"{}\" has no room for one more connection", node_.name);
    error.hint = "lower default_pool_size or max_db_connections, or raise the node's max_connections";
    return end(Kind::kFull, std::move(error));
  }
  error.sqlstate = sqlstate::kLoginRefused;
  error.message = fmt::format("node \"{}\" does not let user \"{}\" in", node_.name, credentials_.user);
  if (is_from_server) error.hint = advice(said.sqlstate, node_, credentials_);
  end(Kind::kRefused, std::move(error));
}

void ServerConnector::fail(Kind kind, std::string detail) {
  end(kind, Error{sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", node_.name),
                  std::move(detail), "its shards are not available until it is back"});
}

void ServerConnector::end(Kind kind, Error error) {
  stream_.reset();
  std::exchange(done_, nullptr)({std::nullopt, ConnectFailure{kind, std::move(error)}});
}

}  // namespace mosaic::pool
