#include "pool/byte_stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace mosaic::pool {

ByteStream::ByteStream(EventLoop& loop, int fd, bool owns_fd, SocketWatcher::Handler& handler)
    : fd_(fd), owns_fd_(owns_fd) {
  watcher_.emplace(loop, fd, handler);
  update_watch();
}

ByteStream::~ByteStream() {
  watcher_.reset();  // before the descriptor can be reused by another socket
  if (owns_fd_ && fd_ >= 0) ::close(fd_);
}

int ByteStream::release() {
  watcher_.reset();
  owns_fd_ = false;
  return fd_;
}

ByteStream::ReadResult ByteStream::read(std::span<char> into) {
  for (;;) {
    const ssize_t got = ::recv(fd_, into.data(), into.size(), 0);
    if (got > 0) {
      bytes_read_ += static_cast<uint64_t>(got);
      return {static_cast<size_t>(got), false};
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {0, false};
    return {0, true};
  }
}

bool ByteStream::send_some(const char* bytes, size_t count, size_t& sent) {
  sent = 0;
  while (sent < count) {
    const ssize_t put = ::send(fd_, bytes + sent, count - sent, MSG_NOSIGNAL);
    if (put >= 0) {
      sent += static_cast<size_t>(put);
      bytes_written_ += static_cast<uint64_t>(put);
      // A short count means that the socket's buffer is full: asking again would only say EAGAIN.
      if (sent < count) return true;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    is_lost_ = true;
    return false;
  }
  return true;
}

bool ByteStream::flush() {
  if (is_lost_) return false;
  if (!out_.is_empty()) {
    size_t sent = 0;
    if (!send_some(out_.data(), out_.size(), sent)) return false;
    out_.consume(sent);
    // Idle connections hold no buffer; busy ones keep a small one to save the allocation.
    constexpr size_t kKeptBytes = 4096;
    if (out_.capacity() > kKeptBytes) out_.release_if_empty();
  }
  update_watch();
  return true;
}

bool ByteStream::write(std::string_view bytes) {
  if (is_lost_) return false;
  size_t sent = 0;
  if (out_.is_empty() && !send_some(bytes.data(), bytes.size(), sent)) return false;
  out_.append(bytes.substr(sent));
  update_watch();
  return true;
}

void ByteStream::set_reading(bool is_reading) {
  is_reading_ = is_reading;
  update_watch();
}

void ByteStream::update_watch() {
  if (!watcher_) return;
  // While we do not read, a peer that goes away is still noticed.
  watcher_->watch((is_reading_ ? SocketWatcher::kReadable : SocketWatcher::kDisconnected) |
                  (out_.is_empty() ? 0 : SocketWatcher::kWritable));
}

}  // namespace mosaic::pool
