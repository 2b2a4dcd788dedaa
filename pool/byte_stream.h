#pragma once
// One connected, non-blocking socket: reads into a caller's buffer, queues what the peer does not take at
// once. Owns the descriptor unless told otherwise. It knows no protocol.

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "pool/event_loop.h"
#include "routing/byte_buffer.h"

namespace mosaic::pool {

class ByteStream {
 public:
  ByteStream(EventLoop& loop, int fd, bool owns_fd, SocketWatcher::Handler& handler);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  struct ReadResult {
    size_t bytes = 0;
    bool is_lost = false;  // end of stream or error; `bytes` is 0
  };
  ReadResult read(std::span<char> into);

  // What waits to be sent. Append here, then flush().
  routing::ByteBuffer& out() { return out_; }
  // Sends as much as the peer takes; the rest goes out when the socket becomes writable (on_writable). False:
  // lost.
  bool flush();
  // Like flush(), but sends nothing before the socket becomes writable: for one that is still connecting.
  void wait_for_room() { update_watch(); }
  // Sends `bytes` now when nothing waits before them, so that large bodies are not copied; the rest is
  // queued.
  bool write(std::string_view bytes);
  // To be called by the handler for kWritable. False: lost.
  bool on_writable() { return flush(); }

  void pause_reading() { set_reading(false); }
  void resume_reading() { set_reading(true); }
  bool is_reading() const { return is_reading_; }
  size_t pending_bytes() const { return out_.size(); }
  int fd() const { return fd_; }
  // Stops watching and gives the descriptor away; the stream is of no more use.
  int release();
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  void set_reading(bool is_reading);
  void update_watch();
  bool send_some(const char* bytes, size_t count, size_t& sent);

  int fd_;
  bool owns_fd_;
  bool is_reading_ = true;
  bool is_lost_ = false;
  uint64_t bytes_read_ = 0, bytes_written_ = 0;
  routing::ByteBuffer out_;
  std::optional<SocketWatcher> watcher_;
};

}  // namespace mosaic::pool
