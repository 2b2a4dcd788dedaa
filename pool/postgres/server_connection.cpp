#include "pool/postgres/server_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "routing/sqlstate.h"

namespace mosaic::pool {

namespace {

using routing::Error;
namespace sqlstate = routing::sqlstate;

// What PostgreSQL 15 reports by itself (manual, "Asynchronous Operations"), and later versions' additions.
constexpr std::array kReportedParameters = {"application_name",
                                            "client_encoding",
                                            "DateStyle",
                                            "default_transaction_read_only",
                                            "in_hot_standby",
                                            "integer_datetimes",
                                            "IntervalStyle",
                                            "is_superuser",
                                            "scram_iterations",
                                            "search_path",
                                            "server_encoding",
                                            "server_version",
                                            "session_authorization",
                                            "standard_conforming_strings",
                                            "TimeZone"};

bool is_numeric_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

ServerConnection::ServerConnection(EventLoop& loop, NameValuesTable& tables, routing::NodeId node,
                                   const NodeAddress& address, const std::string& user,
                                   const std::string& password, uint64_t id)
    : loop_(&loop),
      tables_(&tables),
      address_(address),
      user_(user),
      password_(password),
      id_(id),
      connection_(nullptr, PQfinish) {
  memory_.node = node;
  memory_.settings = tables.empty();
  memory_.parameters = tables.empty();
}

ServerConnection::~ServerConnection() {
  *is_alive_ = false;
  stream_.reset();
  connect_watcher_.reset();
}

void ServerConnection::connect(OnConnected done) {
  on_connected_ = std::move(done);
  const bool is_socket_folder = !address_.host.empty() && address_.host.front() == '/';
  if (is_socket_folder || is_numeric_address(address_.host)) {
    // Results are told from the loop, never from inside this call.
    loop_->defer([this, alive = is_alive_] {
      if (*alive) start(address_.host);
    });
    return;
  }
  loop_->resolve(
      address_.host, [this, alive = is_alive_](const std::string& found, const std::string& error) {
        if (!*alive) return;
        if (found.empty()) {
          finish(Error{sqlstate::kNodeDown,
                       fmt::format("node \"{}\": cannot resolve host \"{}\"", address_.name, address_.host),
                       error, "check [nodes." + address_.name + "] host"});
          return;
        }
        start(found);
      });
}

void ServerConnection::start(const std::string& host_address) {
  const std::string port = std::to_string(address_.port);
  // Encryption towards nodes is off: the socket is read and written directly after libpq's part.
  const char* keywords[] = {"host",    "port",       "dbname",          "user",    "password",
                            "sslmode", "gssencmode", "client_encoding", "options", nullptr};
  const char* values[] = {host_address.c_str(),
                          port.c_str(),
                          address_.dbname.c_str(),
                          user_.c_str(),
                          password_.c_str(),
                          "disable",
                          "disable",
                          "UTF8",
                          "",
                          nullptr};
  connection_.reset(PQconnectStartParams(keywords, values, 0));
  if (!connection_ || PQstatus(connection_.get()) == CONNECTION_BAD) {
    finish(Error{sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", address_.name),
                 connection_ ? one_line(PQerrorMessage(connection_.get())) : "out of memory", ""});
    return;
  }
  poll_connect();
}

void ServerConnection::poll_connect() {
  const PostgresPollingStatusType status = PQconnectPoll(connection_.get());
  if (status == PGRES_POLLING_FAILED) {
    finish(Error{sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", address_.name),
                 one_line(PQerrorMessage(connection_.get())),
                 "its shards are not available until it is back"});
    return;
  }
  if (status == PGRES_POLLING_OK) {
    connect_watcher_.reset();
    PQisBusy(connection_.get());  // takes in what came together with the end of the start-up
    read_session_start(*tables_);
    const int fd = PQsocket(connection_.get());
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connected_ms_ = loop_->now_ms();
    stream_.emplace(*loop_, fd, false, *this);
    finish(std::nullopt);
    return;
  }
  // libpq may change its socket between attempts (several addresses).
  if (const int fd = PQsocket(connection_.get()); fd != connect_fd_ || !connect_watcher_) {
    connect_watcher_.reset();
    connect_watcher_.emplace(*loop_, fd, *this);
    connect_fd_ = fd;
  }
  connect_watcher_->watch(status == PGRES_POLLING_READING ? SocketWatcher::kReadable
                                                          : SocketWatcher::kWritable);
}

void ServerConnection::read_session_start(NameValuesTable& tables) {
  NameValues::Entries entries;
  for (const char* name : kReportedParameters) {
    if (const char* value = PQparameterStatus(connection_.get(), name)) entries.emplace_back(name, value);
  }
  memory_.parameters = tables.intern(std::move(entries));
  memory_.process_id = static_cast<uint32_t>(PQbackendPID(connection_.get()));
  cancel_ = std::shared_ptr<pg_cancel>(PQgetCancel(connection_.get()), PQfreeCancel);
}

void ServerConnection::finish(std::optional<Error> error) {
  connect_watcher_.reset();
  auto done = std::exchange(on_connected_, nullptr);
  if (done) done(*this, std::move(error));
}

void ServerConnection::leave_loop() {
  stream_.reset();
  holder_ = nullptr;
  loop_ = nullptr;
  tables_ = nullptr;
}

void ServerConnection::join_loop(EventLoop& loop, NameValuesTable& tables) {
  loop_ = &loop;
  tables_ = &tables;
  // Sets are one object per worker: find this worker's.
  memory_.settings = tables.intern(memory_.settings->entries());
  memory_.parameters = tables.intern(memory_.parameters->entries());
  stream_.emplace(loop, PQsocket(connection_.get()), false, *this);
}

void ServerConnection::on_socket(int events) {
  if (!stream_) {
    poll_connect();
    return;
  }
  // Either call may end in this object's destruction being deferred, never in its destruction.
  if ((events & SocketWatcher::kWritable) != 0) {
    if (!stream_->on_writable()) {
      if (holder_ != nullptr) {
        holder_->on_server_lost();
      } else if (on_idle_event_) {
        on_idle_event_(*this);
      }
      return;
    }
    if (holder_ != nullptr) holder_->on_server_writable();
  }
  if ((events & (SocketWatcher::kReadable | SocketWatcher::kDisconnected)) == 0 || !stream_) return;
  if (holder_ == nullptr) {
    if (on_idle_event_) on_idle_event_(*this);
  } else if ((events & SocketWatcher::kReadable) != 0) {
    holder_->on_server_readable();
  } else {
    // The server went away while we were not reading: what it sent before must still be read.
    stream_->resume_reading();
  }
}

void ServerConnection::cancel(std::function<void()> done) {
  ++pending_cancels_;
  loop_->run_blocking(
      [cancel = cancel_] {
        char reason[256];
        PQcancel(cancel.get(), reason, sizeof reason);
      },
      [this, alive = is_alive_, done = std::move(done)] {
        if (!*alive) return;
        --pending_cancels_;
        done();
      });
}

uint16_t ServerConnection::local_port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (!connection_ ||
      getsockname(PQsocket(connection_.get()), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

}  // namespace mosaic::pool
