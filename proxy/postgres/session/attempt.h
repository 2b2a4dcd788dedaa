#pragma once
// The messages that a lease began with, kept until the server has answered one of them, so that they can be
// sent again unseen: when a server has lost a statement that Mosaic gave it, or will not have a query in the
// form that Mosaic made of it. Bounded (`max_replay_bytes`); one per session, its memory is lent.

#include <cstdint>
#include <string_view>

#include "routing/buffer_stock.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

class Attempt {
 public:
  explicit Attempt(routing::BufferStock& buffers) : buffers_(buffers) {}
  ~Attempt() { stop(); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  bool is_kept() const { return is_kept_; }
  // A new attempt begins; whatever was kept is forgotten.
  void start() {
    stop();
    is_kept_ = true;
    buffers_.lend(frames_);
  }
  // A message of the client that belongs to it. Too many: it can not be made again.
  void keep(char type, std::string_view body, size_t bytes_max) {
    if (!is_kept_) return;
    if (frames_.size() + body.size() > bytes_max) return stop();
    if (type == 'P') ++kept_parses_;
    routing::FrameWriter frame(frames_, type);
    frames_.append(body);
  }
  // The client has been told ParseComplete by Mosaic: when it comes again it is not told twice.
  void on_told_parse() {
    if (is_kept_ && told_parses_ < kept_parses_) ++told_parses_;
  }
  bool was_told_parse() {
    if (is_kept_ || parses_to_skip_ == 0) return false;
    --parses_to_skip_;
    return true;
  }
  void stop() {
    if (!is_kept_) return;
    is_kept_ = false;
    told_parses_ = kept_parses_ = 0;
    frames_.clear();
    buffers_.take_back(frames_);
  }
  // Gives the messages up to be delivered again.
  void hand_over(routing::ByteBuffer& to) {
    to.append(frames_.view());
    parses_to_skip_ = told_parses_;
    stop();
  }

 private:
  routing::BufferStock& buffers_;
  routing::ByteBuffer frames_;
  bool is_kept_ = false;
  uint32_t kept_parses_ = 0, told_parses_ = 0, parses_to_skip_ = 0;
};

}  // namespace mosaic::proxy
