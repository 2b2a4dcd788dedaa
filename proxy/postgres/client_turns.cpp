// The end of a turn of the event loop, as one client's connection sees it: what is queued leaves in one write
// on each side, and whoever sends faster than the other side takes is not read from for a while.

#include "proxy/postgres/client_connection.h"
#include "proxy/worker.h"

namespace mosaic::proxy {

namespace {

// Client bytes taken in ahead of what the session can take now; more stay in the kernel.
constexpr size_t kReadAheadBytes = 64 << 10;

}  // namespace

void ClientConnection::flush_server() {
  if (server_ != nullptr && !server_->stream().flush()) lose_server();
}

// What the session has answered itself, a ParseComplete say, waits for what the server answers to the rest,
// as it would in PostgreSQL's own buffer: one write and one wake-up of the client instead of two.
bool ClientConnection::is_reply_to_follow() const {
  return server_ != nullptr && pump_->session().phase() == Session::Phase::kInFlight && !has_server_bytes_ &&
         !pump_->flushes_client() && stream_->pending_bytes() <= kGatheredBytes && has_reply_room();
}

void ClientConnection::flush_streams() {
  flush_server();
  if (stream_ && !is_reply_to_follow()) {
    has_server_bytes_ = false;
    if (pump_) pump_->on_client_flushed();
    if (!stream_->flush()) {
      on_client_gone("the connection was lost");
      flush_server();
    }
  }
  discarded_.clear();
}

void ClientConnection::finish_turn() {
  if (is_removed_ || std::exchange(is_turn_open_, true)) return;
  worker_.end_turn_later(*this);
}

void ClientConnection::end_turn() {
  is_turn_open_ = false;
  if (is_removed_) return;
  flush_streams();
  while (pump_ && pump_->may_resume()) {
    pump_->pump_client();
    flush_streams();
  }
  if (pump_) {
    Session& session = pump_->session();
    // Many clients log in and wait: what the login took serves the next one's.
    if (!has_asked_ && session.phase() == Session::Phase::kReady) session.on_idle();
    clock_.on_turn_end(doing() == ClientClock::Doing::kRunning, worker_.loop().now_ms());
  }
  count_bytes();
  const bool is_server_done = server_ == nullptr && waiting_in() == nullptr;
  const bool is_client_done = !stream_ || (is_closing_ && stream_->pending_bytes() == 0);
  if (is_closing_ && is_client_done && is_server_done) {
    is_removed_ = true;
    worker_.remove(handle_);
    return;
  }
  if (pump_) pump_->give_back_buffers();
  if (stream_) worker_.buffers().take_back(stream_->out());
  update_reading();
}

void ClientConnection::update_reading() {
  const ProxySettings& settings = worker_.settings();
  if (stream_) {
    const bool has_room = has_reply_room() && (server_ == nullptr || server_->stream().pending_bytes() <=
                                                                         settings.server_buffer_bytes);
    const bool wants_more = !pump_ || pump_->session().can_take() || pump_->waiting_bytes() < kReadAheadBytes;
    const bool wants = has_room && wants_more && !is_closing_;
    if (wants != stream_->is_reading()) wants ? stream_->resume_reading() : stream_->pause_reading();
  }
  if (server_ != nullptr) {
    const bool has_room = !stream_ || stream_->pending_bytes() <= settings.client_buffer_bytes;
    auto& server_stream = server_->stream();
    if (has_room != server_stream.is_reading())
      has_room ? server_stream.resume_reading() : server_stream.pause_reading();
    const uint64_t now_us = has_room && held_back_since_us_ == 0 ? 0 : worker_.environment().clock.now_us();
    if (!has_room && held_back_since_us_ == 0) held_back_since_us_ = now_us;
    if (has_room && held_back_since_us_ != 0)
      pump_->session().on_held_back(now_us - std::exchange(held_back_since_us_, 0));
  } else {
    held_back_since_us_ = 0;
  }
}

}  // namespace mosaic::proxy
