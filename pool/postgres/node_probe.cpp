#include "pool/postgres/node_probe.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "routing/byte_buffer.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::pool {

namespace {

using routing::Error;
namespace sqlstate = routing::sqlstate;

constexpr uint32_t kSslRequest = 80877103;
constexpr uint32_t kProtocol3 = 196608;
constexpr size_t kAnswerMax = 8 << 10;
// No role of this name is expected; the node answers all the same.
constexpr const char* kUser = "mosaic_probe";

uint64_t monotonic_us() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

NodeProbe::NodeProbe(EventLoop& loop, NodeAddress node, Question question, OnDone done)
    : loop_(loop), node_(std::move(node)), question_(question), done_(std::move(done)) {
  find_addresses(loop_, node_, is_alive_, [this](routing::Result<std::vector<SocketAddress>> found) {
    if (!found) return finish(ConnectFailure{ConnectFailure::Kind::kUnreachable, found.error()});
    addresses_ = std::move(*found);
    try_next_address();
  });
}

NodeProbe::~NodeProbe() {
  *is_alive_ = false;
  watcher_.reset();  // before the descriptor can be reused by another socket
  if (fd_ >= 0) ::close(fd_);
}

void NodeProbe::try_next_address() {
  while (next_address_ < addresses_.size()) {
    watcher_.reset();
    if (fd_ >= 0) ::close(fd_);
    fd_ = connect_socket(addresses_[next_address_++]);
    if (fd_ >= 0) {
      watcher_.emplace(loop_, fd_, *this);
      watcher_->watch(SocketWatcher::kWritable);
      return;
    }
    last_reason_ = errno;
  }
  // A local socket whose queue is full: there is no answer, and none will come.
  if (last_reason_ != EAGAIN) fail(last_reason_);
}

std::string NodeProbe::message() const {
  routing::ByteBuffer out;
  if (question_ == Question::kAlive) {
    out.append_u32(8);
    out.append_u32(kSslRequest);
  } else {
    std::string fields;
    for (const std::string_view text : {std::string_view("user"), std::string_view(kUser),
                                        std::string_view("database"), std::string_view(node_.dbname)}) {
      fields.append(text);
      fields += '\0';
    }
    fields += '\0';
    out.append_u32(static_cast<uint32_t>(8 + fields.size()));
    out.append_u32(kProtocol3);
    out.append(fields);
  }
  return std::string(out.view());
}

void NodeProbe::on_socket(int) {
  if (!is_sent_) {
    if (const int reason = connect_error(fd_); reason != 0) {
      last_reason_ = reason;
      return try_next_address();
    }
    const std::string bytes = message();
    const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put < 0) return fail(errno);
    is_sent_ = true;  // a fresh socket takes so little at once
    watcher_->watch(SocketWatcher::kReadable);
    return;
  }
  std::array<char, 1024> buffer;
  const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return fail(got < 0 ? errno : ECONNRESET);
  on_answer({buffer.data(), static_cast<size_t>(got)});
}

void NodeProbe::on_answer(std::string_view bytes) {
  if (question_ == Question::kAlive) return finish(std::nullopt);
  answer_.append(bytes);
  const auto header = routing::find_frame_header(answer_);
  const bool is_whole = header && answer_.size() >= header->frame_bytes();
  if (!is_whole && answer_.size() < kAnswerMax) return;
  if (is_whole && header->type == 'E') {
    const Error said = routing::parse_error_fields(
        std::string_view(answer_).substr(routing::kFrameHeaderBytes, header->body_bytes()));
    if (said.sqlstate == sqlstate::kCannotConnectNow) {
      return finish(ConnectFailure{
          ConnectFailure::Kind::kStarting,
          Error{sqlstate::kNodeDown, fmt::format("node \"{}\" takes no connections now", node_.name),
                "FATAL:  " + said.message,
                "it starts, recovers or shuts down: its shards are not available until it is ready"}});
    }
  }
  finish(std::nullopt);
}

void NodeProbe::fail(int reason) {
  finish(ConnectFailure{ConnectFailure::Kind::kUnreachable,
                        Error{sqlstate::kNodeDown, fmt::format("cannot connect to node \"{}\"", node_.name),
                              fmt::format("connection to server {} failed: {}",
                                          addresses_[next_address_ - 1].to_text(), std::strerror(reason)),
                              "its shards are not available until it is back"}});
}

void NodeProbe::finish(std::optional<ConnectFailure> failure) {
  watcher_.reset();
  std::exchange(done_, nullptr)(std::move(failure));
}

// --- all nodes ---

void NodeProber::set_nodes(const std::vector<NodeSettings>& nodes, const NodeHealths& healths) {
  places_.resize(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].is_removed) places_[i].reset();
    if (nodes[i].is_removed || (places_[i] && places_[i]->address == nodes[i].address)) continue;
    places_[i] = std::make_unique<Place>();
    places_[i]->address = nodes[i].address;
    places_[i]->health = healths[i];
  }
}

void NodeProber::on_tick(Limits limits, uint64_t now_ms) {
  for (const auto& place : places_) {
    if (!place) continue;
    if (place->probe && now_ms >= place->sent_ms + limits.stall_timeout_ms) {
      place->health->on_probe_silent(
          Error{sqlstate::kNodeDown, fmt::format("node \"{}\" does not answer", place->address.name),
                fmt::format("no answer for node_stall_timeout = {} s",
                            static_cast<double>(limits.stall_timeout_ms) / 1000.0),
                "it is frozen, cut off, or far too busy: its shards are not available until it answers"},
          place->sent_ms, now_ms);
      end(*place);
      place->next_ms = now_ms;  // so that its recovery is noticed at once
    }
    if (place->probe || limits.probe_interval_ms == 0 || now_ms < place->next_ms) continue;
    place->next_ms = now_ms + limits.probe_interval_ms;
    begin(*place, now_ms);
  }
}

void NodeProber::begin(Place& place, uint64_t now_ms) {
  place.sent_ms = now_ms;
  place.sent_us = monotonic_us();
  const bool is_down = place.health->state() == NodeHealth::State::kDown;
  const auto question = is_down ? NodeProbe::Question::kReady : NodeProbe::Question::kAlive;
  place.probe = std::make_unique<NodeProbe>(loop_, place.address, question,
                                            [this, &place](std::optional<ConnectFailure> failure) {
                                              if (failure) {
                                                place.health->on_probe_failed(*failure, loop_.now_ms());
                                              } else {
                                                place.health->on_probe_answer(monotonic_us() - place.sent_us);
                                              }
                                              end(place);
                                            });
}

// Not destroyed in its own callback.
void NodeProber::end(Place& place) {
  loop_.defer([box = std::shared_ptr<NodeProbe>(std::move(place.probe))] {});
}

}  // namespace mosaic::pool
