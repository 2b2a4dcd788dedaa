#include "proxy/postgres/client_connection.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cassert>

#include "proxy/worker.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
namespace sqlstate = routing::sqlstate;

namespace {

// Client bytes taken in ahead of what the session can take now; more stay in the kernel.
constexpr size_t kReadAheadBytes = 64 << 10;
// How long a client that is being closed may take to read its last messages.
constexpr uint64_t kCloseGraceMs = 5'000;
// A client that was quiet for so long is idle.
constexpr uint64_t kIdleMs = 1'000;

}  // namespace

ClientConnection::ClientConnection(Worker& worker, ClientHandle handle, int fd, std::string address,
                                   uint16_t port)
    : worker_(worker),
      handle_(handle),
      login_(std::make_unique<Login>(worker.rules(), make_scram_nonce())),
      address_(std::move(address)),
      port_(port),
      id_(worker.shared().next_client_id.fetch_add(1)),
      connected_us_(unix_us()),
      active_ms_(worker.loop().now_ms()),
      idle_since_ms_(active_ms_) {
  stream_.emplace(worker.loop(), fd, true, *this);
  outbox_.to_client = &stream_->out();
}

ClientConnection::~ClientConnection() {
  if (waiting_in() != nullptr) waiting_in()->stop_waiting(*this);
  if (server_ != nullptr) pool_->discard(*server_);
  if (cancel_key_) worker_.shared().cancels->remove(*cancel_key_);
  if (session_) worker_.shared().clients.fetch_sub(1);
  if (pools_ != nullptr) --pools_->clients;
}

// --- events ---

void ClientConnection::on_socket(int events) {
  if (is_removed_ || !stream_) return;
  if ((events & pool::SocketWatcher::kWritable) != 0 && !stream_->on_writable()) {
    on_client_gone();
    finish_turn();
    return;
  }
  if ((events & pool::SocketWatcher::kReadable) != 0) {
    const std::span<char> buffer = worker_.client_buffer();
    const auto result = stream_->read(buffer);
    if (result.is_lost) {
      on_client_gone();
    } else if (result.bytes > 0) {
      active_ms_ = worker_.loop().now_ms();
      on_client_bytes({buffer.data(), result.bytes});
    }
  } else if ((events & pool::SocketWatcher::kDisconnected) != 0) {
    on_client_gone();
  }
  finish_turn();
}

void ClientConnection::on_client_bytes(std::string_view bytes) {
  if (is_closing_) return;
  if (login_) {
    in_.append(bytes);
    on_login_bytes();
    return;
  }
  has_asked_ = true;
  if (in_.is_empty()) {
    const size_t taken = process_client(bytes);
    if (is_closing_ || taken == bytes.size()) return;
    worker_.buffers().lend(in_);
    in_.append(bytes.substr(taken));
    return;
  }
  in_.append(bytes);
  pump_client();
}

void ClientConnection::pump_client() {
  if (!session_ || is_closing_ || in_.is_empty()) return;
  const size_t taken = process_client(in_.view());
  in_.consume(taken);
}

void ClientConnection::on_server_readable() {
  const std::span<char> buffer = worker_.server_buffer();
  const auto result = server_->stream().read(buffer);
  has_server_bytes_ = true;
  if (stream_) worker_.buffers().lend(stream_->out());
  if (result.is_lost) {
    lose_server();
  } else if (result.bytes > 0 && !process_server({buffer.data(), result.bytes})) {
    lose_server();
  }
  pump_client();
  finish_turn();
}

void ClientConnection::on_server_writable() { finish_turn(); }

void ClientConnection::on_server_lost() {
  lose_server();
  pump_client();
  finish_turn();
}

void ClientConnection::on_lease(pool::ServerConnection& server) {
  attach(server);
  session_->on_lease(server.memory());
  run_actions();
  pump_client();
  finish_turn();
}

void ClientConnection::on_lease_failed(const Error& error) {
  lease_asked_us_ = 0;
  session_->on_lease_failed(error);
  run_actions();
  pump_client();
  finish_turn();
}

void ClientConnection::on_cancel_request() {
  if (!session_ || is_closing_) return;
  session_->on_cancel_request();
  run_actions();
  pump_client();
  finish_turn();
}

void ClientConnection::on_shutdown() {
  if (is_closing_ || is_removed_) return;
  if (!session_) {
    reject(Error{sqlstate::kCannotConnectNow, "Mosaic is shutting down", "", "connect again later"});
  } else {
    session_->on_shutdown();
    run_actions();
  }
  finish_turn();
}

void ClientConnection::close_now() {
  on_client_gone();
  if (server_ != nullptr) detach(LeaseEnd::kDiscard);
  finish_turn();
}

// --- login ---

void ClientConnection::on_login_bytes() {
  switch (login_->on_bytes(in_, *outbox_.to_client)) {
    case Login::State::kMore:
      return;
    case Login::State::kCancelRequest: {
      const CancelKey key{login_->cancel_process_id(), login_->cancel_secret()};
      if (const auto target = worker_.shared().cancels->find(key)) worker_.shared().route_cancel(*target);
      is_closing_ = true;
      closing_since_ms_ = 0;
      return;
    }
    case Login::State::kLeft:
      close_after_flush();
      return;
    case Login::State::kRejected:
      worker_.count_failed_login();
      spdlog::info("login of user \"{}\" from {}:{} refused: {}{}{}", login_->request().user, address_, port_,
                   login_->error().message, login_->reason_for_log().empty() ? "" : ": ",
                   login_->reason_for_log());
      close_after_flush();
      return;
    case Login::State::kAuthenticated:
      break;
  }
  if (login_->request().is_console) {
    hand_to_console();
  } else {
    start_session();
  }
}

void ClientConnection::reject(const Error& error) {
  routing::append_error(*outbox_.to_client, error, "FATAL");
  close_after_flush();
}

void ClientConnection::start_session() {
  const uint32_t limit = worker_.settings().max_client_conn;
  if (worker_.shared().clients.fetch_add(1) >= limit) {
    worker_.shared().clients.fetch_sub(1);
    worker_.count_refused_client();
    reject(Error{sqlstate::kTooManyConnections, "no more connections allowed",
                 fmt::format("max_client_conn = {}", limit),
                 "close connections that are not used, or raise max_client_conn"});
    return;
  }
  session_.emplace(worker_.environment(), outbox_);  // from here on the destructor gives the place back
  pools_ = &worker_.acquire_pools(login_->request().user);
  cancel_key_ =
      worker_.shared().cancels->add(CancelTarget{worker_.number(), handle_.slot, handle_.generation});
  const std::unique_ptr<Login> login = std::move(login_);
  const CancelKey key = cancel_key_.value_or(CancelKey{});
  session_->on_login(login->request().user, login->request().settings, key.process_id, key.secret);
  run_actions();
  if (worker_.is_shutting_down()) on_shutdown();
  pump_client();
}

void ClientConnection::hand_to_console() {
  ConsoleClient client;
  client.user = login_->request().user;
  client.is_admin = login_->request().is_console_admin;
  // What is queued (AuthenticationOk) must go out first: it is small and the socket is fresh.
  if (!stream_->flush() || stream_->pending_bytes() > 0) {
    is_closing_ = true;
    return;
  }
  client.pending.assign(in_.view());
  client.fd = stream_->release();
  stream_.reset();
  outbox_.to_client = &discarded_;
  login_.reset();
  is_closing_ = true;
  worker_.shared().on_console(std::move(client));
}

// --- what the session asks for ---

void ClientConnection::run_actions() {
  for (bool again = true; again;) {
    again = false;
    if (std::exchange(outbox_.stop_waiting, false) && waiting_in() != nullptr) {
      waiting_in()->stop_waiting(*this);
      lease_asked_us_ = 0;
    }
    if (const LeaseEnd end = std::exchange(outbox_.lease_end, LeaseEnd::kNone); end != LeaseEnd::kNone)
      detach(end);
    if (const auto request = std::exchange(outbox_.lease_request, std::nullopt)) {
      pool_ = &worker_.pool_of(*pools_, request->node);
      const auto grant = pool_->acquire(*this, request->preferred);
      if (grant.server != nullptr) {
        attach(*grant.server);
        session_->on_lease(grant.server->memory());
        again = true;
      } else if (grant.error) {
        session_->on_lease_failed(*grant.error);
        again = true;
      } else {
        lease_asked_us_ = monotonic_us();
      }
    }
    if (std::exchange(outbox_.cancel_server, false) && server_ != nullptr) {
      server_->stream()
          .flush();  // what is to be cancelled must be there before; a loss shows at the turn's end
      pool_->cancel(*server_);
    }
  }
  if (!outbox_.redeliver.is_empty()) {
    // Before whatever waits to be taken.
    outbox_.redeliver.append(in_.view());
    in_.swap(outbox_.redeliver);
    outbox_.redeliver.clear();
    outbox_.redeliver.release_if_empty();
  }
  if (outbox_.close_client) close_after_flush();
}

void ClientConnection::attach(pool::ServerConnection& server) {
  assert(server_ == nullptr);
  server_ = &server;
  server.set_holder(this);
  outbox_.to_server = &server.stream().out();
  outbox_.is_mid_frame = false;
  server_body_remaining_ = 0;
  const uint64_t now_us = monotonic_us();
  lease_node_ = server.node().value;
  if (lease_asked_us_ != 0) worker_.environment().traffic[lease_node_].wait_us += now_us - lease_asked_us_;
  lease_asked_us_ = 0;
  lease_began_us_ = now_us;
}

void ClientConnection::detach(LeaseEnd end) {
  assert(server_ != nullptr);
  pool::ServerConnection& server = *std::exchange(server_, nullptr);
  outbox_.to_server = nullptr;
  TrafficReport& traffic = worker_.environment().traffic[lease_node_];
  traffic.transaction_us += monotonic_us() - lease_began_us_;
  // What the session queued last (a Close, say) must not be lost or sent by the next holder unseen.
  if (end == LeaseEnd::kReturn && !server.stream().out().is_empty()) end = LeaseEnd::kDiscard;
  server.partial().clear();
  if (end == LeaseEnd::kReturn) {
    pool_->give_back(server);
  } else {
    pool_->discard(server);
  }
}

void ClientConnection::lose_server() {
  if (server_ == nullptr) return;
  const bool is_mid_frame = server_body_remaining_ > 0 && is_forwarding_body_;
  session_->on_server_lost(server_lost_error(), is_mid_frame);
  server_body_remaining_ = 0;
  run_actions();
}

Error ClientConnection::server_lost_error() const {
  const std::string& node = worker_.settings().nodes[lease_node_].name;
  return Error{sqlstate::kConnectionFailure, fmt::format("connection to node \"{}\" was lost", node),
               "whether the statement took effect is not known; an open transaction has been rolled back",
               "try again; SHOW NODES on the console tells whether the node is back"};
}

// --- endings ---

void ClientConnection::on_client_gone() {
  if (!stream_) return;
  stream_.reset();
  outbox_.to_client = &discarded_;
  in_.clear();
  is_closing_ = true;
  if (session_) {
    session_->on_client_lost(false);
    run_actions();
  }
}

void ClientConnection::close_after_flush() {
  outbox_.close_client = false;
  if (is_closing_) return;
  is_closing_ = true;
  closing_since_ms_ = worker_.loop().now_ms();
}

void ClientConnection::flush_server() {
  if (server_ != nullptr && !server_->stream().flush()) lose_server();
}

// What the session has answered itself, a ParseComplete say, waits for what the server answers to the rest,
// as it would in PostgreSQL's own buffer: one write and one wake-up of the client instead of two.
bool ClientConnection::is_reply_to_follow() const {
  return server_ != nullptr && session_->phase() == Session::Phase::kInFlight && !has_server_bytes_ &&
         !outbox_.flush_client && stream_->pending_bytes() <= kGatheredBytes && has_reply_room();
}

void ClientConnection::flush_streams() {
  flush_server();
  if (stream_ && !is_reply_to_follow()) {
    has_server_bytes_ = outbox_.flush_client = false;
    if (!stream_->flush()) {
      on_client_gone();
      if (server_ != nullptr && !server_->stream().flush()) lose_server();
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
  while (is_held_back_ && has_reply_room()) {
    is_held_back_ = false;
    pump_client();
    flush_streams();
  }
  // Many clients log in and wait: what the login took serves the next one's.
  if (!has_asked_ && session_ && session_->phase() == Session::Phase::kReady) session_->on_idle();
  // Statement timing: from when the session became busy to when it came to rest.
  if (session_) {
    const bool is_running =
        session_->phase() == Session::Phase::kInFlight || session_->phase() == Session::Phase::kCopyIn;
    if (is_running && busy_since_ms_ == 0) busy_since_ms_ = worker_.loop().now_ms();
    if (!is_running && busy_since_ms_ != 0) {
      busy_since_ms_ = 0;
      idle_since_ms_ = worker_.loop().now_ms();
    }
  }
  const bool is_server_done = server_ == nullptr && waiting_in() == nullptr;
  const bool is_client_done = !stream_ || (is_closing_ && stream_->pending_bytes() == 0);
  if (is_closing_ && is_client_done && is_server_done) {
    is_removed_ = true;
    worker_.remove(handle_);
    return;
  }
  worker_.buffers().take_back(in_);
  if (stream_) worker_.buffers().take_back(stream_->out());
  update_reading();
}

void ClientConnection::update_reading() {
  const ProxySettings& settings = worker_.settings();
  if (stream_) {
    const bool has_room = has_reply_room() && (server_ == nullptr || server_->stream().pending_bytes() <=
                                                                         settings.server_buffer_bytes);
    const bool wants_more = !session_ || session_->can_take() || in_.size() < kReadAheadBytes;
    const bool wants = has_room && wants_more && !is_closing_;
    if (wants != stream_->is_reading()) wants ? stream_->resume_reading() : stream_->pause_reading();
  }
  if (server_ != nullptr) {
    const bool has_room = !stream_ || stream_->pending_bytes() <= settings.client_buffer_bytes;
    auto& server_stream = server_->stream();
    if (has_room != server_stream.is_reading())
      has_room ? server_stream.resume_reading() : server_stream.pause_reading();
  }
}

void ClientConnection::on_tick(uint64_t now_ms) {
  if (is_removed_) return;
  const ProxySettings& settings = worker_.settings();
  const auto is_over = [now_ms](uint64_t since_ms, uint32_t limit_ms) {
    return limit_ms > 0 && since_ms > 0 && now_ms > since_ms && now_ms - since_ms > limit_ms;
  };
  if (is_closing_) {
    if (stream_ && is_over(closing_since_ms_ == 0 ? 1 : closing_since_ms_, kCloseGraceMs)) on_client_gone();
    if (server_ != nullptr && session_->phase() == Session::Phase::kAbandoned &&
        is_over(server_->state_since_ms(), settings.pool.cancel_wait_timeout_ms) &&
        is_over(active_ms_, settings.pool.cancel_wait_timeout_ms)) {
      lose_server();
    }
    finish_turn();
    return;
  }
  if (!session_) {
    if (is_over(active_ms_, settings.client_login_timeout_ms) ||
        is_over(idle_since_ms_, settings.client_login_timeout_ms)) {
      reject(Error{"08P01", "login did not finish in time",
                   fmt::format("client_login_timeout = {} s", settings.client_login_timeout_ms / 1000.0),
                   ""});
      finish_turn();
    }
    return;
  }
  const auto phase = session_->phase();
  if (is_over(active_ms_, kIdleMs)) session_->on_idle();
  std::optional<Error> error;
  if (busy_since_ms_ != 0 && is_over(busy_since_ms_, settings.query_timeout_ms)) {
    error = Error{sqlstate::kQueryCanceled, "query timeout",
                  fmt::format("query_timeout = {} s", settings.query_timeout_ms / 1000.0), ""};
  } else if ((phase == Session::Phase::kReady || phase == Session::Phase::kGroup) && server_ != nullptr &&
             !session_->is_pinned() &&
             is_over(std::max(active_ms_, idle_since_ms_), settings.idle_transaction_timeout_ms)) {
    error =
        Error{sqlstate::kIdleInTransactionTimeout, "idle transaction timeout",
              fmt::format("idle_transaction_timeout = {} s", settings.idle_transaction_timeout_ms / 1000.0),
              "end transactions before waiting for something else"};
  } else if (phase == Session::Phase::kReady && server_ == nullptr &&
             is_over(std::max(active_ms_, idle_since_ms_), settings.client_idle_timeout_ms)) {
    error = Error{sqlstate::kAdminShutdown, "client idle timeout",
                  fmt::format("client_idle_timeout = {} s", settings.client_idle_timeout_ms / 1000.0), ""};
  }
  if (!error) return;
  session_->on_timeout(*error);
  run_actions();
  finish_turn();
}

ClientReport ClientConnection::report(uint64_t now_ms) const {
  ClientReport report;
  if (pools_ != nullptr) {
    report.user = pools_->user;
    report.database = worker_.settings().database;
  } else if (login_) {
    report.user = login_->request().user;
    report.database = login_->request().database;
  }
  report.address = address_;
  report.port = port_;
  report.connect_time_us = connected_us_;
  report.request_time_us = unix_us() - (now_ms - active_ms_) * 1000;
  report.id = id_;
  report.worker = worker_.number();
  report.state = "login";
  if (!session_) return report;
  report.application_name = session_->application_name();
  report.prepared_statements = static_cast<uint32_t>(session_->prepared_statements());
  report.shard = session_->is_busy() ? session_->last_shard() : -1;
  if (waiting_in() != nullptr) {
    report.state = "waiting";
    report.wait_us = (now_ms - waiting_since_ms()) * 1000;
    report.node = waiting_in()->node().value;
  } else if (session_->is_pinned()) {
    report.state = "pinned";
  } else if (server_ != nullptr && session_->phase() == Session::Phase::kReady) {
    report.state = "active_transaction";
  } else {
    report.state = server_ != nullptr ? "active" : "idle";
  }
  if (server_ != nullptr) {
    report.server_id = server_->id();
    report.node = server_->node().value;
  }
  return report;
}

}  // namespace mosaic::proxy
