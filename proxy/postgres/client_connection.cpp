#include "proxy/postgres/client_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "proxy/worker.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using pool::Event;
using pool::Severity;
using routing::Error;
namespace sqlstate = routing::sqlstate;

namespace {

// How long a client that is being closed may take to read its last messages.
constexpr uint64_t kCloseGraceMs = 5'000;
// A client that was quiet for so long is idle.
constexpr uint64_t kIdleMs = 1'000;

constexpr std::string_view kGone = "the client has closed the connection without a word, or it was lost";

}  // namespace

ClientConnection::ClientConnection(Worker& worker, ClientHandle handle, int fd, std::string address,
                                   uint16_t port)
    : worker_(worker),
      handle_(handle),
      login_(new LoggingIn{Login(worker.rules(), make_scram_nonce()), {}}),
      address_(std::move(address)),
      port_(port),
      id_(worker.shared().next_client_id.fetch_add(1)),
      clock_(worker.loop().now_ms(), unix_us()) {
  stream_.emplace(worker.loop(), fd, true, *this);
}

ClientConnection::~ClientConnection() {
  stop_waiting();
  if (server_ != nullptr) end_lease(LeaseEnd::kDiscard);
  if (cancel_key_) worker_.shared().cancels->remove(*cancel_key_);
  if (pump_) worker_.shared().clients.fetch_sub(1);
  if (pools_ != nullptr) --pools_->clients;
}

// --- events ---

void ClientConnection::on_socket(int events) {
  if (is_removed_ || !stream_) return;
  if ((events & pool::SocketWatcher::kWritable) != 0 && !stream_->on_writable()) {
    on_client_gone(kGone);
    finish_turn();
    return;
  }
  if ((events & pool::SocketWatcher::kReadable) != 0) {
    const std::span<char> buffer = worker_.client_buffer();
    const auto result = stream_->read(buffer);
    if (result.is_lost) {
      on_client_gone(kGone);
    } else if (result.bytes > 0) {
      clock_.on_bytes(worker_.loop().now_ms());
      on_client_bytes({buffer.data(), result.bytes});
    }
  } else if ((events & pool::SocketWatcher::kDisconnected) != 0) {
    on_client_gone(kGone);
  }
  finish_turn();
}

void ClientConnection::on_client_bytes(std::string_view bytes) {
  if (is_closing_) return;
  if (pump_) {
    has_asked_ = true;
    pump_->on_client_bytes(bytes);
  } else {
    login_->in.append(bytes);
    on_login_bytes();
  }
}

void ClientConnection::on_server_readable() {
  const std::span<char> buffer = worker_.server_buffer();
  const auto result = server_->stream().read(buffer);
  has_server_bytes_ = true;
  if (result.bytes > 0) worker_.on_heard(server_->node());
  if (stream_) worker_.buffers().lend(stream_->out());
  const bool is_broken =
      result.bytes > 0 && pump_->on_server_bytes({buffer.data(), result.bytes}, server_->partial()) ==
                              FramePump::ServerBytes::kBroken;
  if (result.is_lost || is_broken) lose_server();
  pump_->pump_client();
  finish_turn();
}

void ClientConnection::on_server_writable() { finish_turn(); }

void ClientConnection::on_server_lost() {
  lose_server();
  finish_turn();
}

void ClientConnection::on_lease(pool::ServerConnection& server) {
  pump_->on_lease(attach(server));
  finish_turn();
}

void ClientConnection::on_lease_failed(const Error& error) {
  tell_lease_failed(error);
  worker_.node_loads().end(pool_->node());
  lease_.asked_us = 0;
  pump_->on_lease_failed(error);
  finish_turn();
}

void ClientConnection::on_gate_open() {
  pump_->on_gate_open();
  finish_turn();
}

void ClientConnection::on_gate_failed(const Error& error) {
  tell_lease_failed(error);
  lease_.asked_us = 0;
  pump_->on_lease_failed(error);
  finish_turn();
}

void ClientConnection::on_cancel_request() {
  if (!pump_ || is_closing_) return;
  pump_->on_cancel_request();
  finish_turn();
}

void ClientConnection::on_shutdown() {
  if (is_closing_ || is_removed_) return;
  if (pump_) {
    pump_->on_shutdown();
  } else {
    reject(Error{sqlstate::kCannotConnectNow, "Mosaic is shutting down", "", "connect again later"});
  }
  finish_turn();
}

void ClientConnection::on_node_change(routing::NodeId node) {
  if (is_removed_ || server_ == nullptr || lease_.node != node.value) return;
  if (worker_.is_node_up(node) || !pump_->session().may_go_elsewhere()) return;
  lose_server();
  finish_turn();
}

void ClientConnection::close_now(std::string_view why) {
  on_client_gone(why);
  if (server_ != nullptr) end_lease(LeaseEnd::kDiscard);
  finish_turn();
}

// --- login ---

void ClientConnection::on_login_bytes() {
  Login& login = login_->login;
  switch (login.on_bytes(login_->in, stream_->out())) {
    case Login::State::kMore:
      return;
    case Login::State::kCancelRequest: {
      const CancelKey key{login.cancel_process_id(), login.cancel_secret()};
      if (const auto target = worker_.shared().cancels->find(key)) worker_.shared().route_cancel(*target);
      is_closing_ = true;
      return;
    }
    case Login::State::kLeft:
      close_client();
      return;
    case Login::State::kRejected:
      worker_.count_failed_login();
      worker_.events().record(event(Severity::kWarning, "login_failed")
                                  .add("user", login.request().user)
                                  .add("database", login.request().database)
                                  .add("message", login.error().message)
                                  .add("reason", login.reason_for_log()));
      close_client();
      return;
    case Login::State::kAuthenticated:
      break;
  }
  if (login.request().is_console) {
    hand_to_console();
  } else {
    start_session();
  }
}

void ClientConnection::reject(const Error& error) {
  routing::append_error(stream_->out(), error, "FATAL");
  close_client();
}

Error ClientConnection::too_many_error() const {
  const uint32_t limit = worker_.settings().max_client_conn;
  const uint32_t fitting = worker_.shared().clients_max.load();
  if (fitting < limit) {
    return Error{
        sqlstate::kTooManyConnections, "no more connections allowed",
        fmt::format("The limit of open files leaves room for {} clients; max_client_conn = {}.", fitting,
                    limit),
        "Raise the limit (ulimit -n, LimitNOFILE= of systemd); SHOW LIMITS on the console tells of it."};
  }
  return Error{sqlstate::kTooManyConnections, "no more connections allowed",
               fmt::format("max_client_conn = {}", limit),
               "close connections that are not used, or raise max_client_conn"};
}

void ClientConnection::turn_away() {
  reject(too_many_error());
  finish_turn();
}

void ClientConnection::start_session() {
  const uint32_t limit = std::min(worker_.settings().max_client_conn, worker_.shared().clients_max.load());
  const uint32_t clients_before = worker_.shared().clients.fetch_add(1);
  if (clients_before < limit) {
    std::atomic<uint32_t>& most = worker_.shared().clients_most;
    uint32_t known = most.load(std::memory_order_relaxed);
    while (known <= clients_before && !most.compare_exchange_weak(known, clients_before + 1)) {
    }
  } else {
    worker_.shared().clients.fetch_sub(1);
    worker_.count_refused_client();
    const Error error = too_many_error();
    worker_.events().record(
        event(Severity::kWarning, "client_refused")
            .add("user", login_->login.request().user)
            .add("reason", limit < worker_.settings().max_client_conn ? "open files" : "max_client_conn")
            .add("limit", limit));
    reject(error);
    return;
  }
  // From here on the destructor gives the place back.
  pump_.emplace(worker_.environment(), *this, stream_->out());
  const std::unique_ptr<LoggingIn> logged_in = std::move(login_);
  const LoginRequest& request = logged_in->login.request();
  pools_ = &worker_.acquire_pools(request.user);
  cancel_key_ =
      worker_.shared().cancels->add(CancelTarget{worker_.number(), handle_.slot, handle_.generation});
  bytes_received_ = stream_->bytes_read() - logged_in->in.size();
  bytes_sent_ = stream_->bytes_written();
  if (worker_.settings().pool.log_connections)
    worker_.events().record(event(Severity::kInfo, "client_connected")
                                .add("user", request.user)
                                .add("database", request.database)
                                .add("application_name", request.application_name));
  pump_->on_login(request.user, request.settings, cancel_key_->process_id, cancel_key_->secret);
  if (worker_.is_shutting_down()) on_shutdown();
  if (!logged_in->in.is_empty()) on_client_bytes(logged_in->in.view());
}

void ClientConnection::hand_to_console() {
  ConsoleClient client;
  client.user = login_->login.request().user;
  client.database = login_->login.request().database;
  client.application_name = login_->login.request().application_name;
  client.address = address_;
  client.port = port_;
  client.id = id_;
  client.connected_us = clock_.connected_us();
  client.is_admin = login_->login.request().is_console_admin;
  is_closing_ = true;
  // What is queued (AuthenticationOk) must go out first: it is small and the socket is fresh.
  if (!stream_->flush() || stream_->pending_bytes() > 0) return;
  client.pending.assign(login_->in.view());
  client.fd = stream_->release();
  stream_.reset();
  login_.reset();
  worker_.shared().on_console(std::move(client));
}

// --- what the session asks for ---

FramePump::LeaseAnswer ClientConnection::ask_for_lease(const LeaseRequest& request) {
  pool_ = &worker_.pool_of(*pools_, request.node);
  lease_.is_any_node_good = request.is_any_node_good;
  if (ShardGate::must_wait(request, *worker_.environment().catalog)) {
    const auto error = worker_.gate().wait(*this, request, worker_.gate_limits(), worker_.loop().now_ms());
    if (error) {
      tell_lease_failed(*error);
    } else {
      lease_.asked_us = worker_.environment().clock.now_us();
    }
    return {std::nullopt, error};
  }
  const auto grant = pool_->acquire(*this, request.preferred);
  if (grant.server != nullptr) {
    worker_.node_loads().begin(request.node);
    return {attach(*grant.server), std::nullopt};
  }
  if (grant.error) {
    tell_lease_failed(*grant.error);
    return {std::nullopt, grant.error};
  }
  lease_.asked_us = worker_.environment().clock.now_us();
  worker_.node_loads().begin(request.node);
  return {};
}

void ClientConnection::stop_waiting() {
  worker_.gate().leave(*this);
  if (waiting_in() == nullptr) return;
  worker_.node_loads().end(waiting_in()->node());
  waiting_in()->stop_waiting(*this);
  lease_.asked_us = 0;
}

void ClientConnection::cancel_server() {
  // What is to be cancelled must be there before; a loss shows at the turn's end.
  server_->stream().flush();
  pool_->cancel(*server_);
}

FramePump::Lease ClientConnection::attach(pool::ServerConnection& server) {
  assert(server_ == nullptr);
  server_ = &server;
  server.set_holder(this);
  const uint64_t now_us = worker_.environment().clock.now_us();
  lease_.node = server.node().value;
  if (lease_.asked_us != 0) worker_.environment().traffic[lease_.node].wait_us += now_us - lease_.asked_us;
  lease_.asked_us = 0;
  lease_.began_us = now_us;
  return {&server.memory(), &server.stream().out()};
}

void ClientConnection::end_lease(LeaseEnd end) {
  assert(server_ != nullptr);
  pool::ServerConnection& server = *std::exchange(server_, nullptr);
  TrafficReport& traffic = worker_.environment().traffic[lease_.node];
  traffic.transaction_us += worker_.environment().clock.now_us() - lease_.began_us;
  worker_.node_loads().end(server.node());
  // What the session queued last (a Close, say) must not be lost or sent by the next holder unseen.
  if (end == LeaseEnd::kReturn && !server.stream().out().is_empty()) end = LeaseEnd::kDiscard;
  server.partial().clear();
  if (end == LeaseEnd::kReturn) {
    pool_->give_back(server);
  } else if (std::exchange(is_server_lost_, false)) {
    pool_->discard(server, "the connection was lost, or the node has ended it");
  } else {
    pool_->discard(server);
  }
}

// A stream that takes no more is noticed at the turn's end.
void ClientConnection::forward(std::string_view run) {
  if (!stream_) return;
  if (run.size() < kGatheredBytes) {
    stream_->out().append(run);
  } else {
    stream_->write(run);
  }
}

bool ClientConnection::has_reply_room() const {
  return !stream_ || stream_->pending_bytes() <= worker_.settings().client_buffer_bytes;
}

void ClientConnection::lose_server() {
  if (server_ == nullptr) return;
  Event lost = statement_event(Severity::kWarning, "server_lost");
  lost.add("server", server_->id()).add("remote_pid", server_->memory().process_id);
  if (const Error* words = pump_->session().server_last_words()) lost.add("message", words->to_line());
  worker_.events().record(lost);
  is_server_lost_ = true;
  pump_->on_server_lost(server_lost_error());
  is_server_lost_ = false;
}

Error ClientConnection::server_lost_error() const {
  const std::string& node = worker_.settings().nodes[lease_.node].address.name;
  return Error{sqlstate::kConnectionFailure, fmt::format("connection to node \"{}\" was lost", node),
               "whether the statement took effect is not known; an open transaction has been rolled back",
               "try again; SHOW NODES on the console tells whether the node is back"};
}

// --- endings ---

void ClientConnection::on_client_gone(std::string_view why) {
  if (!stream_) return;
  begin_closing(why);
  if (pump_) pump_->on_client_lost(discarded_);
  count_bytes();
  stream_.reset();
}

// Told once, at the first reason.
void ClientConnection::begin_closing(std::string_view why) {
  if (std::exchange(is_closing_, true)) return;
  clock_.on_closing(worker_.loop().now_ms());
  if (!pump_ || !worker_.settings().pool.log_disconnections) return;
  worker_.events().record(event(Severity::kInfo, "client_left")
                              .add("user", pools_->user)
                              .add("reason", why)
                              .add_seconds("connected_s", unix_us() - clock_.connected_us()));
}

void ClientConnection::close_client() {
  const Error* error = pump_ ? pump_->closing_error() : nullptr;
  begin_closing(error != nullptr ? std::string_view(error->message) : "the client has said goodbye");
}

// --- what is told of it ---

Event ClientConnection::event(Severity severity, std::string_view name) const {
  Event event(severity, name);
  event.add("client", id_).add("addr", address_).add("port", port_);
  return event;
}

// With the statement that runs, waits, or was the last.
Event ClientConnection::statement_event(Severity severity, std::string_view name) const {
  Event event(severity, name);
  event.add("client", id_).add("user", pools_->user);
  if (server_ != nullptr || waiting_in() != nullptr) event.add("node", node_name(pool_->node().value));
  const Session::Running running = pump_->session().running();
  const uint64_t now_us = worker_.environment().clock.now_us();
  const uint64_t waited_us = running.waited_us + (running.waiting_us == 0 ? 0 : now_us - running.waiting_us);
  event.add_seconds("waited_s", waited_us);
  if (running.began_us != 0) event.add_seconds("elapsed_s", now_us - running.began_us);
  add_statement(event, running.shape, running.shard);
  return event;
}

void ClientConnection::add_statement(Event& event, const routing::ShapeUse* shape, int shard) const {
  constexpr size_t kStatementBytesMax = 500;  // of a line in the log
  if (shard >= 0) event.add("shard", shard);
  if (shape == nullptr) return;
  const std::string& text = shape->text();
  event.add("statement",
            text.size() <= kStatementBytesMax ? text : text.substr(0, kStatementBytesMax) + "...");
}

std::string_view ClientConnection::node_name(uint16_t node) const {
  return worker_.settings().nodes[node].address.name;
}

void ClientConnection::tell_lease_failed(const Error& error) const {
  const std::string_view name = error.sqlstate == sqlstate::kWaitTimeout          ? "query_wait_timeout"
                                : error.sqlstate == sqlstate::kTooManyConnections ? "too_many_waiting"
                                                                                  : "lease_failed";
  worker_.events().record(statement_event(Severity::kWarning, name)
                              .add("on", node_name(pool_->node().value))
                              .add("message", error.to_line()));
}

void ClientConnection::on_slow_statement(const SlowStatement& statement) {
  Event slow(Severity::kWarning, "slow_statement");
  slow.add("client", id_).add("user", pools_->user).add("node", node_name(statement.node.value));
  slow.add_seconds("waited_s", statement.waited_us)
      .add_seconds("server_s", statement.server_us)
      .add_seconds("client_s", statement.client_us);
  if (statement.has_failed) slow.add("failed", "yes");
  add_statement(slow, statement.use.get(), statement.shard);
  worker_.events().record(slow);
}

// Where its latest statement went.
void ClientConnection::count_bytes() {
  if (!pump_ || !stream_) return;
  TrafficReport& traffic = worker_.environment().traffic[lease_.node];
  traffic.bytes_received += stream_->bytes_read() - std::exchange(bytes_received_, stream_->bytes_read());
  traffic.bytes_sent += stream_->bytes_written() - std::exchange(bytes_sent_, stream_->bytes_written());
}

// --- time ---

ClientClock::Doing ClientConnection::doing() const {
  using Doing = ClientClock::Doing;
  if (!pump_) return Doing::kLoggingIn;
  const Session& session = pump_->session();
  switch (session.phase()) {
    case Session::Phase::kInFlight:
    case Session::Phase::kCopyIn:
      return Doing::kRunning;
    case Session::Phase::kReady:
    case Session::Phase::kGroup:
      if (server_ != nullptr) return session.is_pinned() ? Doing::kOther : Doing::kIdleInTransaction;
      return session.phase() == Session::Phase::kReady ? Doing::kIdle : Doing::kOther;
    default:
      return Doing::kOther;
  }
}

void ClientConnection::on_tick(uint64_t now_ms) {
  if (is_removed_) return;
  const ProxySettings& settings = worker_.settings();
  if (is_closing_) {
    if (stream_ && clock_.has_been_closing(kCloseGraceMs, now_ms)) on_client_gone({});
    const uint64_t limit_ms = settings.pool.cancel_wait_timeout_ms;
    if (server_ != nullptr && pump_->session().phase() == Session::Phase::kAbandoned && limit_ms > 0 &&
        now_ms > server_->state_since_ms() + limit_ms && clock_.has_been_quiet(limit_ms, now_ms)) {
      worker_.events().record(
          statement_event(Severity::kWarning, "cancel_wait_timeout").add_seconds("limit_s", limit_ms * 1000));
      lose_server();
    }
    finish_turn();
    return;
  }
  if (pump_ && clock_.has_been_quiet(kIdleMs, now_ms)) pump_->session().on_idle();
  const auto error = clock_.overdue(doing(), settings, now_ms);
  if (!error) return;
  const std::string_view limit = ClientClock::limit_of(doing());
  if (pump_) {
    worker_.events().record(statement_event(Severity::kWarning, limit).add("limit", error->detail));
    pump_->on_timeout(*error);
  } else {
    worker_.events().record(event(Severity::kWarning, limit).add("limit", error->detail));
    reject(*error);
  }
  finish_turn();
}

// What it runs and waits for.
void ClientConnection::report_statement(ClientReport& report) const {
  const Session& session = pump_->session();
  const Session::Running running = session.running();
  const uint64_t now_us = worker_.environment().clock.now_us();
  constexpr size_t kStatementBytesMax = 1000;
  if (running.shape != nullptr) report.statement = running.shape->text().substr(0, kStatementBytesMax);
  report.is_running = running.began_us != 0;
  if (report.is_running) report.statement_us = now_us - running.began_us;
  if (running.transaction_began_us != 0) report.transaction_us = now_us - running.transaction_began_us;
  report.owed_replies = static_cast<uint32_t>(session.owed_replies());
  report.unsent_bytes = stream_ ? stream_->pending_bytes() : 0;
  report.waits_for = waiting_in() != nullptr ? "pool"
                     : is_at_gate()          ? "move"
                     : !has_reply_room()     ? "client_read"
                     : report.is_running     ? "server"
                                             : "client";
}

ClientReport ClientConnection::report(uint64_t now_ms, bool with_statement) const {
  ClientReport report;
  if (pools_ != nullptr) {
    report.user = pools_->user;
    report.database = worker_.settings().database;
  } else if (login_) {
    report.user = login_->login.request().user;
    report.database = login_->login.request().database;
  }
  report.address = address_;
  report.port = port_;
  report.connect_time_us = clock_.connected_us();
  report.request_time_us = unix_us() - (now_ms - clock_.active_ms()) * 1000;
  report.id = id_;
  report.worker = worker_.number();
  report.state = "login";
  report.waits_for = "login";
  if (!pump_) return report;
  const Session& session = pump_->session();
  report.application_name = session.application_name();
  report.prepared_statements = static_cast<uint32_t>(session.prepared_statements());
  report.shard = session.is_busy() ? session.running().shard : -1;
  if (waiting_in() != nullptr) {
    report.state = "waiting";
    report.wait_us = (now_ms - waiting_since_ms()) * 1000;
    report.node = waiting_in()->node().value;
  } else if (is_at_gate()) {
    report.state = "waiting";
    report.node = pool_->node().value;
  } else if (session.is_pinned()) {
    report.state = "pinned";
  } else if (server_ != nullptr && session.phase() == Session::Phase::kReady) {
    report.state = "active_transaction";
  } else {
    report.state = server_ != nullptr ? "active" : "idle";
  }
  if (server_ != nullptr) {
    report.server_id = server_->id();
    report.node = server_->node().value;
  }
  if (with_statement) report_statement(report);
  return report;
}

}  // namespace mosaic::proxy
