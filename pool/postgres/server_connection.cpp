#include "pool/postgres/server_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <utility>

namespace mosaic::pool {

namespace {

constexpr std::string_view kTerminate("X\0\0\0\x04", 5);

// Not destroyed here and now: its own callback is running.
template <typename T>
void destroy_later(EventLoop& loop, std::unique_ptr<T> owned) {
  loop.defer([box = std::shared_ptr<T>(std::move(owned))] {});
}

}  // namespace

ServerConnection::ServerConnection(EventLoop& loop, NameValuesTable& tables, routing::NodeId node,
                                   const NodeAddress& address, const std::string& user,
                                   const std::string& password, uint64_t id)
    : loop_(&loop), tables_(&tables), address_(address), user_(user), password_(password), id_(id) {
  memory_.node = node;
  memory_.settings = tables.empty();
  memory_.parameters = tables.empty();
}

ServerConnection::~ServerConnection() { close_socket(); }

// Says goodbye where that can be said at once: behind half a message it would mean something else, and a
// server that does not read must hold nobody up. What the kernel still holds is its own affair.
void ServerConnection::close_socket() {
  if (fd_ < 0) return;
  const bool is_between_messages = !stream_ || stream_->pending_bytes() == 0;
  stream_.reset();
  if (is_between_messages) ::send(fd_, kTerminate.data(), kTerminate.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(std::exchange(fd_, -1));
}

void ServerConnection::connect(OnConnected done) {
  connector_ = std::make_unique<ServerConnector>(
      *loop_, address_, ServerLogin::Credentials{user_, address_.dbname, password_},
      [this, done = std::move(done)](ServerConnector::Outcome outcome) {
        on_outcome(std::move(outcome), done);
      });
  connector_->start();
}

void ServerConnection::on_outcome(ServerConnector::Outcome outcome, const OnConnected& done) {
  destroy_later(*loop_, std::move(connector_));
  if (outcome.failure) return done(*this, std::move(outcome.failure));
  std::optional<ServerConnector::Session>& session = outcome.session;
  memory_.parameters = tables_->intern(std::move(session->parameters));
  key_ = session->key;
  memory_.process_id = key_.process_id;
  connected_ms_ = loop_->now_ms();
  fd_ = session->fd;
  stream_.emplace(*loop_, fd_, false, *this);
  done(*this, std::nullopt);
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
  stream_.emplace(loop, fd_, false, *this);
}

void ServerConnection::on_socket(int events) {
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

void ServerConnection::cancel(OnCanceled done) {
  on_canceled_ = std::move(done);
  if (cancel_) {
    is_cancel_wanted_again_ = true;
    return;
  }
  SocketAddress server;
  server.bytes = sizeof server.address;
  // A socket whose peer is gone has no address: then the request can not leave, and says so.
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&server.address), &server.bytes) != 0) server.bytes = 0;
  cancel_since_ms_ = loop_->now_ms();
  cancel_ = std::make_unique<CancelRequest>(*loop_, server, key_,
                                            [this](CancelRequest::End end) { on_cancel_end(end); });
}

void ServerConnection::on_cancel_end(CancelRequest::End end) {
  destroy_later(*loop_, std::move(cancel_));
  if (end == CancelRequest::End::kInDoubt) is_cancel_in_doubt_ = true;
  const OnCanceled done = std::exchange(on_canceled_, nullptr);
  if (std::exchange(is_cancel_wanted_again_, false) && end == CancelRequest::End::kDelivered) {
    cancel(done);
  } else {
    done(end);
  }
}

void ServerConnection::give_up_cancel() {
  if (cancel_->has_sent()) is_cancel_in_doubt_ = true;
  destroy_later(*loop_, std::move(cancel_));
  is_cancel_wanted_again_ = false;
  on_canceled_ = nullptr;
}

std::string ServerConnection::local_address() const {
  const sockaddr_storage address = own_address();
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr, text, sizeof text);
  }
  return text;
}

uint16_t ServerConnection::local_port() const {
  const sockaddr_storage address = own_address();
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

sockaddr_storage ServerConnection::own_address() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (fd_ < 0 || getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    address.ss_family = AF_UNSPEC;
  return address;
}

}  // namespace mosaic::pool
