#include "pool/postgres/cancel_request.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "routing/byte_buffer.h"

namespace mosaic::pool {

namespace {

constexpr uint32_t kCancelCode = 80877102;

}  // namespace

CancelRequest::CancelRequest(EventLoop& loop, const SocketAddress& server, BackendKey key, OnDone done)
    : done_(std::move(done)) {
  routing::ByteBuffer message;
  message.append_u32(static_cast<uint32_t>(message_.size()));
  message.append_u32(kCancelCode);
  message.append_u32(key.process_id);
  message.append_u32(key.secret);
  message.view().copy(message_.data(), message_.size());
  fd_ = connect_socket(server);
  if (fd_ < 0) {
    loop.defer([this, alive = is_alive_] {
      if (*alive) finish(End::kNotSent);
    });
    return;
  }
  watcher_.emplace(loop, fd_, *this);
  watcher_->watch(SocketWatcher::kWritable);
}

CancelRequest::~CancelRequest() {
  *is_alive_ = false;
  watcher_.reset();  // before the descriptor can be reused by another socket
  if (fd_ >= 0) ::close(fd_);
}

void CancelRequest::on_socket(int) {
  if (sent_bytes_ < message_.size()) {
    if (!send_rest()) return finish(has_sent() ? End::kInDoubt : End::kNotSent);
    if (sent_bytes_ == message_.size()) watcher_->watch(SocketWatcher::kReadable);
    return;
  }
  char byte = 0;
  const ssize_t got = ::recv(fd_, &byte, 1, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // A server answers nothing; whatever it says, the end of the connection is what counts.
  if (got > 0) return;
  finish(got == 0 || errno == ECONNRESET ? End::kDelivered : End::kInDoubt);
}

// False: lost.
bool CancelRequest::send_rest() {
  const ssize_t put = ::send(fd_, message_.data() + sent_bytes_, message_.size() - sent_bytes_, MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  sent_bytes_ += static_cast<size_t>(put);
  return true;
}

void CancelRequest::finish(End end) {
  watcher_.reset();
  std::exchange(done_, nullptr)(end);
}

}  // namespace mosaic::pool
