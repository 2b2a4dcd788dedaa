#pragma once
// The messages that a lease, or a transaction's first statement that is bound to its node, began with, kept
// until a server has answered with more than that it has taken them, so that they can be sent again unseen:
// when a server has lost a statement that Mosaic gave it, will not have a query in the form that Mosaic made
// of it, or no longer has the shard. What says only that they were taken is held back until then. Bounded
// (`max_replay_bytes`); one per session, its memory is lent.

#include <cstdint>
#include <string_view>

#include "proxy/postgres/session/outbox.h"
#include "routing/buffer_stock.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

class Attempt {
 public:
  Attempt(routing::BufferStock& buffers, Outbox& outbox) : buffers_(buffers), outbox_(outbox) {}
  ~Attempt() { forget(); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  bool is_kept() const { return is_kept_; }
  // The client had begun a transaction before it.
  bool is_in_transaction() const { return is_in_transaction_; }
  // A new attempt begins; whatever was kept is forgotten.
  void start(bool is_in_transaction) {
    stop();
    is_kept_ = true;
    is_in_transaction_ = is_in_transaction;
    is_flushed_ = false;
    buffers_.lend(frames_);
  }
  // A message of the client that belongs to it. Too many: it can not be made again.
  void keep(char type, std::string_view body, size_t bytes_max) {
    if (!is_kept_) return;
    if (frames_.size() + held_.size() + body.size() > bytes_max) return stop();
    if (type == 'P') ++kept_parses_;
    routing::FrameWriter frame(frames_, type);
    frames_.append(body);
  }
  // Replies are held back, rather than ending it.
  bool holds_replies() const { return is_kept_ && !is_flushed_; }
  // The client waits for what there is.
  void on_flush() {
    if (!held_.is_empty()) stop();
    is_flushed_ = true;
  }
  // A reply for the client that it is told when the attempt ends, and not at all when it is made again.
  void hold(char type, std::string_view body) {
    routing::FrameWriter frame(held(), type);
    held_.append(body);
  }
  // Where such replies are written.
  routing::ByteBuffer& held() {
    if (held_.capacity() == 0) buffers_.lend(held_);
    return held_;
  }
  // The first message, if it is of this type, has had its reply, which the client is told now: it is not sent
  // again.
  void settle_first(char type) {
    if (!is_kept_) return;
    if (!held_.is_empty()) return stop();
    if (!begins_with(type)) return;
    frames_.consume(routing::find_frame_header(frames_.view())->frame_bytes());
    if (type == 'P') --kept_parses_;
  }
  bool begins_with(char type) const { return !frames_.is_empty() && frames_.view()[0] == type; }
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
    if (!held_.is_empty()) outbox_.to_client->append(held_.view());
    forget();
  }
  // Gives the messages up to be delivered again.
  void hand_over(routing::ByteBuffer& to) {
    to.append(frames_.view());
    parses_to_skip_ = told_parses_;
    forget();
  }

 private:
  void forget() {
    is_kept_ = is_in_transaction_ = false;
    told_parses_ = kept_parses_ = 0;
    frames_.clear();
    held_.clear();
    buffers_.take_back(frames_);
    buffers_.take_back(held_);
  }

  routing::BufferStock& buffers_;
  Outbox& outbox_;
  routing::ByteBuffer frames_, held_;
  bool is_kept_ = false, is_in_transaction_ = false, is_flushed_ = false;
  uint32_t kept_parses_ = 0, told_parses_ = 0, parses_to_skip_ = 0;
};

}  // namespace mosaic::proxy
