// A client connection's bytes as frames: what came from the client goes to the session frame by frame, what
// came from the server on to the client in runs, past the session, which looks at headers and at the bodies
// it asks for.

#include <fmt/format.h>

#include <algorithm>

#include "proxy/postgres/client_connection.h"
#include "proxy/worker.h"
#include "routing/postgres/wire/frame.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
namespace sqlstate = routing::sqlstate;

namespace {

// Messages that carry no statement and no value are small (PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, with room).
constexpr size_t kSmallMessageBytes = 64 << 10;
// A server message that must be seen whole (an error, a row description); more is a broken stream.
constexpr size_t kServerMessageBytes = 64 << 20;

// What clients send after the login (PostgreSQL manual, "Message Formats"). Anything else ends the session at
// its first byte, as in PostgreSQL (SocketBackend in postgres.c): its length means nothing, and is not waited
// for.
bool is_client_message(char type) {
  return std::string_view("QPBDESXCHdcfpF").find(type) != std::string_view::npos;
}

bool carries_statement(char type) { return type == 'Q' || type == 'P' || type == 'B' || type == 'F'; }

}  // namespace

// --- frames of the client ---

bool ClientConnection::has_reply_room() const {
  return !stream_ || stream_->pending_bytes() <= worker_.settings().client_buffer_bytes;
}

size_t ClientConnection::process_client(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !is_closing_ && session_->can_take()) {
    if (!has_reply_room()) {
      is_held_back_ = true;
      break;
    }
    std::string_view rest = bytes.substr(taken);
    if (copy_remaining_ > 0) {
      const size_t count = std::min<size_t>(copy_remaining_, rest.size());
      if (session_->is_copying()) session_->on_copy_bytes(rest.substr(0, count));
      copy_remaining_ -= static_cast<uint32_t>(count);
      taken += count;
      run_actions();
      continue;
    }
    const auto header = routing::find_frame_header(rest);
    if (!header) break;
    if (!is_client_message(header->type)) {
      session_->on_client_frame(header->type, {});
      taken = bytes.size();
      run_actions();
      break;
    }
    if (header->type == 'd' && routing::is_valid(*header)) {
      // Data that comes with its COPY, in one write, waits for the server to take it.
      if (!session_->is_copying() && session_->on_client_frame('d', {}) == Session::Intake::kLater) {
        run_actions();
        continue;
      }
      copy_remaining_ = static_cast<uint32_t>(header->body_bytes());
      taken += routing::kFrameHeaderBytes;
      continue;
    }
    const uint64_t bytes_max =
        carries_statement(header->type) ? worker_.settings().max_statement_bytes : kSmallMessageBytes;
    if (!routing::is_valid(*header) || header->body_bytes() > bytes_max) {
      Error error{sqlstate::kProtocolViolation, "invalid message length",
                  fmt::format("message type 0x{:02X} claims {} bytes",
                              static_cast<unsigned char>(header->type), header->length),
                  ""};
      if (routing::is_valid(*header) && carries_statement(header->type)) {
        error = Error{sqlstate::kLimitExceeded, "message is too large",
                      fmt::format("{} bytes; max_statement_bytes = {}", header->length, bytes_max),
                      "send large data with COPY, or raise max_statement_bytes"};
      }
      session_->on_timeout(error);
      run_actions();
      break;
    }
    if (rest.size() < header->frame_bytes()) break;
    const auto intake = session_->on_client_frame(
        header->type, rest.substr(routing::kFrameHeaderBytes, header->body_bytes()));
    if (intake == Session::Intake::kTaken) taken += header->frame_bytes();
    run_actions();
  }
  return taken;
}

// --- frames of the server ---

// False: the stream makes no sense any more.
bool ClientConnection::process_server(std::string_view bytes) {
  routing::ByteBuffer& partial = server_->partial();
  std::string_view run;  // contiguous bytes to forward
  const auto flush_run = [&] {
    forward(run);
    run = {};
  };
  size_t at = 0;
  bool is_ok = true;
  while (at < bytes.size() && session_->holds_server()) {
    if (server_body_remaining_ > 0) {
      const size_t count = std::min(server_body_remaining_, bytes.size() - at);
      if (is_forwarding_body_) {
        run = run.empty() ? bytes.substr(at, count) : std::string_view(run.data(), run.size() + count);
      }
      server_body_remaining_ -= count;
      at += count;
      continue;
    }
    // A frame whose beginning came with an earlier read is completed in `partial`.
    if (!partial.is_empty()) {
      const size_t have = partial.size();
      const size_t wanted = have < routing::kFrameHeaderBytes
                                ? routing::kFrameHeaderBytes
                                : routing::find_frame_header(partial.view())->frame_bytes();
      const size_t count = std::min(wanted - have, bytes.size() - at);
      partial.append(bytes.substr(at, count));
      at += count;
      if (partial.size() < wanted) break;
      const auto header = routing::find_frame_header(partial.view());
      if (!routing::is_valid(*header)) {
        is_ok = false;
        break;
      }
      flush_run();
      if (wanted == routing::kFrameHeaderBytes && header->body_bytes() > 0) {
        const auto verdict = session_->on_server_frame(*header);
        if (verdict == Session::Verdict::kBody) {
          if (header->frame_bytes() > kServerMessageBytes) {
            is_ok = false;
            break;
          }
          continue;  // the body's bytes follow into `partial`
        }
        is_forwarding_body_ = verdict == Session::Verdict::kForward;
        if (is_forwarding_body_) forward(partial.view());
        partial.clear();
        server_body_remaining_ = header->body_bytes();
        continue;
      }
      auto verdict =
          wanted == routing::kFrameHeaderBytes ? session_->on_server_frame(*header) : Session::Verdict::kBody;
      if (verdict == Session::Verdict::kBody) {
        verdict = session_->on_server_body(header->type, partial.view().substr(routing::kFrameHeaderBytes));
      }
      if (verdict == Session::Verdict::kForward) forward(partial.view());
      partial.clear();
      partial.release_if_empty();
      continue;
    }
    const std::string_view rest = bytes.substr(at);
    const auto header = routing::find_frame_header(rest);
    if (!header) {
      partial.append(rest);
      break;
    }
    if (!routing::is_valid(*header)) {
      is_ok = false;
      break;
    }
    auto verdict = session_->on_server_frame(*header);
    if (verdict == Session::Verdict::kBody) {
      if (rest.size() < header->frame_bytes()) {
        if (header->frame_bytes() > kServerMessageBytes) {
          is_ok = false;
          break;
        }
        // on_server_frame() only asked for the body: it changes nothing, so the header may be kept without a
        // verdict.
        partial.append(rest);
        break;
      }
      flush_run();
      verdict = session_->on_server_body(header->type,
                                         rest.substr(routing::kFrameHeaderBytes, header->body_bytes()));
      if (verdict == Session::Verdict::kForward) run = rest.substr(0, header->frame_bytes());
      at += header->frame_bytes();
      continue;
    }
    is_forwarding_body_ = verdict == Session::Verdict::kForward;
    if (is_forwarding_body_) {
      run = run.empty() ? rest.substr(0, routing::kFrameHeaderBytes)
                        : std::string_view(run.data(), run.size() + routing::kFrameHeaderBytes);
    } else {
      flush_run();
    }
    at += routing::kFrameHeaderBytes;
    server_body_remaining_ = header->body_bytes();
  }
  flush_run();
  outbox_.is_mid_frame = server_body_remaining_ > 0 && is_forwarding_body_;
  if (!is_ok) return false;
  if (!session_->holds_server() && (at < bytes.size() || !partial.is_empty())) {
    // Something follows the end of the transaction: whoever got this connection next would read it.
    if (outbox_.lease_end == LeaseEnd::kReturn) outbox_.lease_end = LeaseEnd::kDiscard;
  }
  run_actions();
  return true;
}

void ClientConnection::forward(std::string_view run) {
  if (run.empty() || !stream_) return;
  if (run.size() < kGatheredBytes) {
    stream_->out().append(run);
  } else if (!stream_->write(run)) {
    on_client_gone();
  }
}

}  // namespace mosaic::proxy
