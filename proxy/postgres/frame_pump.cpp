#include "proxy/postgres/frame_pump.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "routing/postgres/wire/frame.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::ByteBuffer;
using routing::Error;
using routing::FrameHeader;
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

FramePump::FramePump(SessionEnvironment& environment, Driver& driver, ByteBuffer& to_client)
    : driver_(driver), environment_(environment), session_(environment, outbox_) {
  outbox_.to_client = &to_client;
}

// --- events ---

void FramePump::on_login(std::string_view user,
                         const std::vector<std::pair<std::string, std::string>>& settings,
                         uint32_t process_id, uint32_t secret) {
  session_.on_login(user, settings, process_id, secret);
  run_actions();
}

void FramePump::on_client_bytes(std::string_view bytes) {
  if (!in_.is_empty()) {
    in_.append(bytes);
    return pump_client();
  }
  const size_t taken = take(bytes);
  if (taken == bytes.size() || !driver_.takes_client_bytes()) return;
  environment_.buffers->lend(in_);
  in_.append(bytes.substr(taken));
}

void FramePump::pump_client() {
  is_held_back_ = false;
  if (in_.is_empty()) return;
  const size_t taken = take(in_.view());
  in_.consume(taken);
}

void FramePump::on_lease(const Lease& lease) {
  begin_lease(lease);
  run_actions();
  pump_client();
}

void FramePump::on_lease_failed(const Error& error) {
  session_.on_lease_failed(error);
  run_actions();
  pump_client();
}

void FramePump::on_gate_open() {
  session_.on_gate_open();
  run_actions();
  pump_client();
}

void FramePump::on_server_lost(const Error& error) {
  session_.on_server_lost(error, server_body_remaining_ > 0 && is_forwarding_body_);
  server_body_remaining_ = 0;
  run_actions();
  pump_client();
}

void FramePump::on_client_lost(ByteBuffer& discarded) {
  outbox_.to_client = &discarded;
  in_.clear();
  session_.on_client_lost(false);
  run_actions();
}

void FramePump::on_cancel_request() {
  session_.on_cancel_request();
  run_actions();
  pump_client();
}

void FramePump::on_timeout(const Error& error) {
  session_.on_timeout(error);
  run_actions();
}

void FramePump::on_shutdown() {
  session_.on_shutdown();
  run_actions();
}

void FramePump::give_back_buffers() { environment_.buffers->take_back(in_); }

// --- what the session asks for ---

void FramePump::run_actions() {
  for (bool again = true; again;) {
    again = false;
    if (std::exchange(outbox_.stop_waiting, false)) driver_.stop_waiting();
    if (const LeaseEnd end = std::exchange(outbox_.lease_end, LeaseEnd::kNone); end != LeaseEnd::kNone) {
      outbox_.to_server = nullptr;
      driver_.end_lease(end);
    }
    if (const auto request = std::exchange(outbox_.lease_request, std::nullopt)) {
      const LeaseAnswer answer = driver_.ask_for_lease(*request);
      if (answer.lease) begin_lease(*answer.lease);
      if (answer.error) session_.on_lease_failed(*answer.error);
      again = answer.lease || answer.error;
    }
    if (std::exchange(outbox_.cancel_server, false) && outbox_.to_server != nullptr) driver_.cancel_server();
  }
  if (!outbox_.redeliver.is_empty()) {
    // Before whatever waits to be taken.
    outbox_.redeliver.append(in_.view());
    in_.swap(outbox_.redeliver);
    outbox_.redeliver.clear();
    outbox_.redeliver.release_if_empty();
  }
  for (const SlowStatement& statement : outbox_.slow_statements) driver_.on_slow_statement(statement);
  outbox_.slow_statements.clear();
  if (std::exchange(outbox_.close_client, false)) driver_.close_client();
}

void FramePump::begin_lease(const Lease& lease) {
  assert(outbox_.to_server == nullptr);
  outbox_.to_server = lease.to_server;
  outbox_.is_mid_frame = false;
  server_body_remaining_ = 0;
  session_.on_lease(*lease.server);
}

// --- frames of the client ---

// How many bytes were taken. The session sends nothing again in here: servers answer in on_server_bytes().
size_t FramePump::take(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && driver_.takes_client_bytes() && session_.can_take()) {
    if (!driver_.has_reply_room()) {
      is_held_back_ = true;
      break;
    }
    const std::string_view rest = bytes.substr(taken);
    if (copy_remaining_ > 0) {
      const size_t count = std::min<size_t>(copy_remaining_, rest.size());
      if (session_.is_copying()) session_.on_copy_bytes(rest.substr(0, count));
      copy_remaining_ -= static_cast<uint32_t>(count);
      taken += count;
      run_actions();
      continue;
    }
    const auto header = routing::find_frame_header(rest);
    if (!header) break;
    if (!is_client_message(header->type)) {
      session_.on_client_frame(header->type, {});
      taken = bytes.size();
      run_actions();
      break;
    }
    if (header->type == 'd' && routing::is_valid(*header)) {
      // Data that comes with its COPY, in one write, waits for the server to take it.
      if (!session_.is_copying() && session_.on_client_frame('d', {}) == Session::Intake::kLater) {
        run_actions();
        continue;
      }
      copy_remaining_ = static_cast<uint32_t>(header->body_bytes());
      taken += routing::kFrameHeaderBytes;
      continue;
    }
    if (refuses(*header)) break;
    if (rest.size() < header->frame_bytes()) break;
    const auto intake =
        session_.on_client_frame(header->type, rest.substr(routing::kFrameHeaderBytes, header->body_bytes()));
    if (intake == Session::Intake::kTaken) taken += header->frame_bytes();
    run_actions();
  }
  return taken;
}

// A length that can not be, or is too long: the session has ended.
bool FramePump::refuses(const FrameHeader& header) {
  const bool is_statement = carries_statement(header.type);
  const uint64_t bytes_max = is_statement ? environment_.max_statement_bytes : kSmallMessageBytes;
  const bool is_valid = routing::is_valid(header);
  if (is_valid && header.body_bytes() <= bytes_max) return false;
  if (is_valid && is_statement) {
    on_timeout(Error{sqlstate::kLimitExceeded, "message is too large",
                     fmt::format("{} bytes; max_statement_bytes = {}", header.length, bytes_max),
                     "send large data with COPY, or raise max_statement_bytes"});
  } else {
    on_timeout(Error{sqlstate::kProtocolViolation, "invalid message length",
                     fmt::format("message type 0x{:02X} claims {} bytes",
                                 static_cast<unsigned char>(header.type), header.length),
                     ""});
  }
  return true;
}

// --- frames of the server ---

FramePump::ServerBytes FramePump::on_server_bytes(std::string_view bytes, ByteBuffer& partial) {
  std::string_view run;  // contiguous bytes to forward
  const auto flush_run = [&] {
    if (!run.empty()) driver_.forward(run);
    run = {};
  };
  size_t at = 0;
  bool is_ok = true;
  while (at < bytes.size() && session_.holds_server()) {
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
        const auto verdict = session_.on_server_frame(*header);
        if (verdict == Session::Verdict::kBody) {
          if (header->frame_bytes() > kServerMessageBytes) {
            is_ok = false;
            break;
          }
          continue;  // the body's bytes follow into `partial`
        }
        is_forwarding_body_ = verdict == Session::Verdict::kForward;
        if (is_forwarding_body_) driver_.forward(partial.view());
        partial.clear();
        server_body_remaining_ = header->body_bytes();
        continue;
      }
      auto verdict =
          wanted == routing::kFrameHeaderBytes ? session_.on_server_frame(*header) : Session::Verdict::kBody;
      if (verdict == Session::Verdict::kBody) {
        verdict = session_.on_server_body(header->type, partial.view().substr(routing::kFrameHeaderBytes));
      }
      if (verdict == Session::Verdict::kForward) driver_.forward(partial.view());
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
    auto verdict = session_.on_server_frame(*header);
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
      verdict = session_.on_server_body(header->type,
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
  if (!is_ok) return ServerBytes::kBroken;
  const bool is_surplus = !session_.holds_server() && (at < bytes.size() || !partial.is_empty());
  // Something follows the end of the transaction: whoever got this connection next would read it.
  if (is_surplus && outbox_.lease_end == LeaseEnd::kReturn) outbox_.lease_end = LeaseEnd::kDiscard;
  run_actions();
  return is_surplus ? ServerBytes::kSurplus : ServerBytes::kTaken;
}

}  // namespace mosaic::proxy
