#include "pool/connection_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "routing/sqlstate.h"

namespace mosaic::pool {

using routing::Error;
namespace sqlstate = routing::sqlstate;

namespace {

// A worker with waiting clients of its own gives a connection away only to clients that have waited this much
// longer: enough to keep the workers' queues even, seldom enough not to pay for a hand-over with every
// transaction.
constexpr uint64_t kHandOverAfterMs = 20;
// How many idle connections are looked at for one that has the wanted statement.
constexpr size_t kPreferredLookups = 8;
// A node that is full is asked again after this: somebody's idle connection is on its way out.
constexpr uint64_t kFullRetryMs = 100;
// After how many server_login_retry a login that nobody waits for is tried again.
constexpr uint64_t kUnaskedRetries = 10;

constexpr std::string_view kEndedByNode = "the node has ended it while it was idle";
constexpr std::string_view kCancelInDoubt = "a cancel request may still reach it";
constexpr std::string_view kNotInUse = "the node is not in use";
constexpr std::string_view kNewAddress = "the node's address or the user's password has changed";

}  // namespace

ConnectionPool::ConnectionPool(Environment environment, routing::NodeId node, NodeAddress address,
                               std::string user, std::string password,
                               std::shared_ptr<ConnectionBudget> budget, std::shared_ptr<NodeHealth> health)
    : environment_(std::move(environment)),
      node_(node),
      address_(std::move(address)),
      user_(std::move(user)),
      password_(std::move(password)),
      budget_(std::move(budget)),
      health_(std::move(health)) {
  ConnectionBudget::Member member;
  member.post = [mailbox = environment_.mailbox](std::function<void()> message) {
    return mailbox->post(std::move(message));
  };
  member.on_others_starve = [this, alive = is_alive_] {
    if (*alive) give_up_idle();
  };
  member.adopt = [this, alive = is_alive_, shared = budget_,
                  hand_overs = environment_.hand_overs](std::unique_ptr<ServerConnection> server) {
    if (hand_overs != nullptr) hand_overs->remove(server->id());
    if (*alive) {
      adopt(std::move(server));
    } else {
      shared->put_back();
    }
  };
  budget_->join(environment_.worker, std::move(member));
}

ConnectionPool::~ConnectionPool() {
  *is_alive_ = false;
  budget_->leave(environment_.worker);
  for (size_t i = 0; i < servers_.size(); ++i) budget_->put_back();
}

// Why nobody need wait, as far as it is known.
std::optional<Error> ConnectionPool::unavailable(const Waiter& waiter) const {
  const NodeHealth::State state = health_->state();
  if (state == NodeHealth::State::kSlow && health_->refuses_when_slow()) return health_->error();
  if (failure_ && idle_.empty() && waiter.can_use_any_node()) return failure_->error;
  // Other connections may still serve those who wait.
  if (!idle_.empty() || budget_->used() > 0) return std::nullopt;
  const uint64_t now_ms = environment_.loop->now_ms();
  const bool is_fresh = now_ms < health_->failed_ms() + environment_.settings->server_login_retry_ms;
  if (state == NodeHealth::State::kDown && is_fresh) return health_->error();
  if (failure_ && failure_->kind != ConnectFailure::Kind::kFull && now_ms < retry_at_ms_)
    return failure_->error;
  return std::nullopt;
}

ConnectionPool::Grant ConnectionPool::acquire(Waiter& waiter, const std::optional<StatementKey>& preferred) {
  if (!health_->is_up() || failure_) {
    if (auto error = unavailable(waiter)) return {nullptr, std::move(error)};
  }
  if (first_ == nullptr && !idle_.empty()) {
    size_t chosen = idle_.size() - 1;
    if (preferred) {
      const size_t end = idle_.size() > kPreferredLookups ? idle_.size() - kPreferredLookups : 0;
      for (size_t i = idle_.size(); i > end; --i) {
        if (!idle_[i - 1]->memory().statements.contains(*preferred)) continue;
        chosen = i - 1;
        break;
      }
    }
    ServerConnection& server = *idle_[chosen];
    idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(chosen));
    move_to(server, ServerConnection::State::kActive);
    return {&server, std::nullopt};
  }
  if (waiting_ >= environment_.settings->max_waiting_clients) {
    return {nullptr,
            Error{sqlstate::kTooManyConnections,
                  fmt::format("too many clients wait for a connection to node \"{}\"", address_.name),
                  fmt::format("max_waiting_clients = {}", environment_.settings->max_waiting_clients),
                  "retry later, or raise default_pool_size or max_waiting_clients"}};
  }
  enqueue(waiter);
  grow();
  update_starving();
  return {};
}

ServerConnection* ConnectionPool::acquire_idle(
    const std::function<bool(const ServerConnection&)>& is_wanted) {
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                  [&](const ServerConnection* server) { return is_wanted(*server); });
  if (found == idle_.rend()) return nullptr;
  ServerConnection& server = **found;
  idle_.erase(std::next(found).base());
  move_to(server, ServerConnection::State::kActive);
  return &server;
}

void ConnectionPool::open_ahead(size_t count) {
  if (!health_->is_up() || failure_ || !is_in_use_) return;
  while (servers_.size() < count && budget_->try_take() == ConnectionBudget::Taken::kYes) open_connection();
}

void ConnectionPool::enqueue(Waiter& waiter) {
  assert(waiter.pool_ == nullptr);
  waiter.pool_ = this;
  waiter.since_ms_ = environment_.loop->now_ms();
  waiter.previous_ = last_;
  waiter.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
  waiting_max_ = std::max(waiting_max_, ++waiting_);
}

void ConnectionPool::unlink(Waiter& waiter) {
  assert(waiter.pool_ == this);
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
  waiter.pool_ = nullptr;
  waiter.next_ = waiter.previous_ = nullptr;
  --waiting_;
}

void ConnectionPool::stop_waiting(Waiter& waiter) {
  unlink(waiter);
  update_starving();
}

void ConnectionPool::grow() {
  using Taken = ConnectionBudget::Taken;
  const uint64_t now_ms = environment_.loop->now_ms();
  if (failure_ && now_ms < retry_at_ms_) return;
  const PoolSettings& settings = *environment_.settings;
  // Where the latest attempt has failed one at a time tells enough.
  while (connecting_ < waiting_ && (!failure_ || connecting_ == 0)) {
    const bool is_urgent = longest_wait_ms(now_ms) >= settings.reserve_pool_timeout_ms;
    const Taken taken = budget_->try_take(is_urgent ? budget_->reserve() : 0);
    if (taken != Taken::kYes) {
      if (taken != Taken::kOwnLimit && connecting_ == 0)
        ask_for_room(taken == Taken::kNodeLimit ? RoomRequest::Of::kNode : RoomRequest::Of::kUser);
      return;
    }
    open_connection();
  }
}

// One place at a time, however many come to wait: it is asked for again at a later tick.
void ConnectionPool::ask_for_room(RoomRequest::Of of) {
  const uint64_t now_ms = environment_.loop->now_ms();
  if (now_ms < room_asked_ms_ + kFullRetryMs) return;
  room_asked_ms_ = now_ms;
  environment_.make_room({node_, user_, of});
}

void ConnectionPool::open_connection() {
  auto made = std::make_unique<ServerConnection>(*environment_.loop, *environment_.tables, node_, address_,
                                                 user_, password_, environment_.next_server_id());
  ServerConnection& server = *made;
  server.set_state(ServerConnection::State::kConnecting, environment_.loop->now_ms());
  ++connecting_;
  servers_.push_back(std::move(made));
  server.set_on_idle_event([this](ServerConnection& idle) { remove(idle, kEndedByNode); });
  server.connect([this](ServerConnection& connected, std::optional<ConnectFailure> failure) {
    on_connected(connected, std::move(failure));
  });
}

void ConnectionPool::on_connected(ServerConnection& server, std::optional<ConnectFailure> failure) {
  if (server.state() != ServerConnection::State::kConnecting) return;  // timed out meanwhile
  if (!failure) {
    health_->on_login(user_);
    failure_.reset();
    server.set_keepalive(environment_.settings->keepalive);
    if (environment_.settings->log_connections)
      tell(server_event(Severity::kInfo, "server_connected", server).add("local_port", server.local_port()));
    settle(server);
    grow();
    update_starving();
    return;
  }
  const uint64_t now_ms = environment_.loop->now_ms();
  const bool is_full = failure->kind == ConnectFailure::Kind::kFull;
  retry_at_ms_ = now_ms + (is_full ? kFullRetryMs : environment_.settings->server_login_retry_ms);
  failure_ = *failure;
  tell(server_event(Severity::kDebug, "server_connect_failed", server)
           .add("message", failure->error.to_line()));
  remove(server, {});
  health_->on_connect_failed(user_, *failure, now_ms);
  if (is_full) ask_for_room(RoomRequest::Of::kNode);
  // With other connections alive, or room on its way, those who wait will still be served; else they would
  // wait in vain.
  fail_waiters(failure->error, is_full || budget_->used() > 0);
}

Event ConnectionPool::server_event(Severity severity, std::string_view name,
                                   const ServerConnection& server) const {
  Event event(severity, name);
  event.add("node", address_.name).add("user", user_).add("server", server.id());
  if (server.memory().process_id != 0) event.add("remote_pid", server.memory().process_id);
  return event;
}

void ConnectionPool::tell(const Event& event) const {
  if (environment_.events != nullptr) environment_.events->record(event);
}

void ConnectionPool::on_node_change() {
  switch (health_->state()) {
    case NodeHealth::State::kUp:
      retry_at_ms_ = 0;
      grow();
      break;
    case NodeHealth::State::kSlow:
      fail_waiters(health_->error(), !health_->refuses_when_slow());
      break;
    case NodeHealth::State::kDown:
      fail_waiters(health_->error(), budget_->used() > 0);
      break;
  }
}

void ConnectionPool::fail_waiters(const Error& error, bool only_who_can_use_any_node) {
  // Only those that wait now: a failed client may ask again at once.
  std::vector<Waiter*> failed;
  for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next_) {
    if (!only_who_can_use_any_node || waiter->can_use_any_node()) failed.push_back(waiter);
  }
  for (Waiter* waiter : failed) {
    if (waiter->pool_ != this) continue;  // it has gone because another did
    unlink(*waiter);
    waiter->on_lease_failed(error);
  }
  update_starving();
}

void ConnectionPool::give_back(ServerConnection& server) {
  assert(server.state() == ServerConnection::State::kActive);
  server.set_holder(nullptr);
  const uint64_t now_ms = environment_.loop->now_ms();
  const uint32_t lifetime_ms = environment_.settings->server_lifetime_ms;
  const bool is_old = lifetime_ms > 0 && now_ms - server.connected_ms() > lifetime_ms;
  const std::string_view why = is_old                        ? "server_lifetime"
                               : budget_->is_over_limit()    ? "default_pool_size"
                               : server.is_cancel_in_doubt() ? kCancelInDoubt
                                                             : std::string_view();
  if (!why.empty()) {
    remove(server, why);
    grow();
    return;
  }
  if (server.is_cancel_pending()) {
    move_to(server, ServerConnection::State::kCanceling);
    return;  // settles when the cancel is done
  }
  settle(server);
}

// A waiter may be done with its lease before on_lease() returns, and then gives it back from inside: that one
// is settled by the loop below, so that the stack does not grow with the queue.
void ConnectionPool::settle(ServerConnection& server) {
  unsettled_.push_back(&server);
  if (std::exchange(is_settling_, true)) return;
  while (!unsettled_.empty()) {
    ServerConnection& next = *unsettled_.back();
    unsettled_.pop_back();
    settle_one(next);
  }
  is_settling_ = false;
}

// A connection that nobody holds goes to whoever has waited longest, here or in another worker, or becomes
// idle.
void ConnectionPool::settle_one(ServerConnection& server) {
  if (server.is_outdated()) {
    remove(server, kNewAddress);
    grow();
    return;
  }
  server.stream().resume_reading();
  const uint64_t own_since_ms = first_ != nullptr ? first_->since_ms_ : UINT64_MAX;
  if (budget_->others_starve(environment_.worker)) {
    const auto other = budget_->most_starving(environment_.worker);
    if (first_ == nullptr || other.since_ms + kHandOverAfterMs < own_since_ms) {
      if (hand_over(server, other.worker)) return;
    }
  }
  if (first_ == nullptr) {
    move_to(server, ServerConnection::State::kIdle);
    idle_.push_back(&server);
    return;
  }
  Waiter& waiter = *first_;
  unlink(waiter);
  move_to(server, ServerConnection::State::kActive);
  update_starving();
  waiter.on_lease(server);
}

void ConnectionPool::discard(ServerConnection& server, std::string_view why) {
  assert(server.state() == ServerConnection::State::kActive);
  server.set_holder(nullptr);
  remove(server, why);
  grow();
}

bool ConnectionPool::hand_over(ServerConnection& server, uint32_t worker) {
  std::unique_ptr<ServerConnection> owned = take_out(server);
  if (environment_.hand_overs != nullptr)
    environment_.hand_overs->add({server.id(), node_, user_, server.memory().process_id,
                                  server.connected_ms(), server.local_port(),
                                  static_cast<uint32_t>(server.memory().statements.size()), worker});
  owned->leave_loop();
  if (budget_->offer(worker, owned)) return true;
  if (environment_.hand_overs != nullptr) environment_.hand_overs->remove(server.id());
  owned->join_loop(*environment_.loop, *environment_.tables);
  servers_.push_back(std::move(owned));
  return false;
}

void ConnectionPool::cancel(ServerConnection& server) {
  health_->on_cancel();
  server.cancel([this, &server](CancelRequest::End end) {
    if (end != CancelRequest::End::kDelivered) health_->on_cancel_failed();
    if (server.state() != ServerConnection::State::kCanceling) return;
    if (server.is_cancel_in_doubt()) {
      remove(server, kCancelInDoubt);
      grow();
    } else {
      settle(server);
    }
  });
}

void ConnectionPool::adopt(std::unique_ptr<ServerConnection> server) {
  ServerConnection& adopted = *server;
  adopted.join_loop(*environment_.loop, *environment_.tables);
  adopted.set_on_idle_event([this](ServerConnection& idle) { remove(idle, kEndedByNode); });
  servers_.push_back(std::move(server));
  // RELOAD may have come to this worker and not yet to the other.
  if (!adopted.leads_to(address_, password_)) adopted.set_outdated();
  settle(adopted);
  update_starving();
}

void ConnectionPool::give_up_idle() {
  while (!idle_.empty() && first_ == nullptr && budget_->others_starve(environment_.worker)) {
    ServerConnection& server = *idle_.back();
    idle_.pop_back();
    const auto other = budget_->most_starving(environment_.worker);
    if (!hand_over(server, other.worker)) {
      idle_.push_back(&server);
      return;
    }
  }
}

void ConnectionPool::update_starving() {
  // Connections that are being opened are on their way: only what they can not serve starves.
  if (first_ != nullptr && waiting_ > connecting_) {
    budget_->set_starving(environment_.worker, first_->since_ms_);
  } else if (budget_->is_starving(environment_.worker)) {
    budget_->clear_starving(environment_.worker);
  }
}

void ConnectionPool::move_to(ServerConnection& server, ServerConnection::State state) {
  if (server.state() == ServerConnection::State::kConnecting) --connecting_;
  server.set_state(state, environment_.loop->now_ms());
}

std::unique_ptr<ServerConnection> ConnectionPool::take_out(ServerConnection& server) {
  const auto at =
      std::find_if(servers_.begin(), servers_.end(), [&](const auto& s) { return s.get() == &server; });
  assert(at != servers_.end());
  if (server.state() == ServerConnection::State::kConnecting)
    move_to(server, ServerConnection::State::kClosing);
  std::unique_ptr<ServerConnection> owned = std::move(*at);
  servers_.erase(at);
  std::erase(idle_, &server);
  std::erase(unsettled_, &server);
  return owned;
}

void ConnectionPool::remove(ServerConnection& server, std::string_view why) {
  if (server.state() == ServerConnection::State::kClosing) return;
  if (!why.empty() && environment_.settings->log_disconnections) {
    const uint64_t age_ms = environment_.loop->now_ms() - server.connected_ms();
    tell(server_event(Severity::kInfo, "server_left", server)
             .add("reason", why)
             .add_seconds("age_s", age_ms * 1000));
  }
  auto owned = std::make_shared<std::unique_ptr<ServerConnection>>(take_out(server));
  move_to(server, ServerConnection::State::kClosing);
  server.set_on_idle_event(nullptr);
  budget_->put_back();
  environment_.loop->defer([owned] {});  // may be inside one of its callbacks now
}

void ConnectionPool::set_address(NodeAddress address, std::string password) {
  // To connect again everywhere makes every client wait for logins: not for a reload of something else.
  if (address == address_ && password == password_) return;
  address_ = std::move(address);
  password_ = std::move(password);
  failure_.reset();
  retry_at_ms_ = 0;
  health_->forget_refusal(user_);
  std::vector<ServerConnection*> unheld;
  for (const auto& server : servers_) {
    server->set_outdated();
    if (server->state() == ServerConnection::State::kConnecting ||
        server->state() == ServerConnection::State::kIdle)
      unheld.push_back(server.get());
  }
  for (ServerConnection* server : unheld) remove(*server, kNewAddress);
  if (first_ != nullptr) grow();
}

void ConnectionPool::on_tick(uint64_t now_ms, bool has_clients) {
  const PoolSettings& settings = *environment_.settings;
  while (first_ != nullptr && settings.query_wait_timeout_ms > 0 &&
         now_ms - first_->since_ms_ > settings.query_wait_timeout_ms) {
    Waiter& waiter = *first_;
    unlink(waiter);
    waiter.on_lease_failed(
        Error{sqlstate::kWaitTimeout,
              fmt::format("no connection to node \"{}\" became free in time", address_.name),
              fmt::format("query_wait_timeout = {} s, default_pool_size = {}{}",
                          settings.query_wait_timeout_ms / 1000.0, settings.default_pool_size,
                          failure_ ? "; " + failure_->error.detail : ""),
              "retry later; SHOW SERVERS on the console says who holds the connections"});
  }
  std::vector<ServerConnection*> due;
  for (const auto& server : servers_) {
    // Too late: whoever waits for the cancel's effect goes on waiting, but this connection has been in use
    // long enough. It goes when its client is done with it, for the server may still act on the request.
    if (server->is_cancel_pending() && settings.cancel_wait_timeout_ms > 0 &&
        now_ms > server->cancel_since_ms() + settings.cancel_wait_timeout_ms) {
      health_->on_cancel_failed();
      tell(server_event(Severity::kWarning, "cancel_wait_timeout", *server)
               .add_seconds("limit_s", uint64_t{settings.cancel_wait_timeout_ms} * 1000));
      server->give_up_cancel();
    }
    const uint64_t in_state_ms = now_ms - server->state_since_ms();
    switch (server->state()) {
      case ServerConnection::State::kConnecting:
        if (settings.server_connect_timeout_ms > 0 && in_state_ms > settings.server_connect_timeout_ms) {
          due.push_back(server.get());
        }
        break;
      case ServerConnection::State::kIdle: {
        const uint64_t age_ms = now_ms - server->connected_ms();
        const bool is_kept = has_clients && budget_->used() <= settings.min_pool_size;
        if ((settings.server_idle_timeout_ms > 0 && in_state_ms > settings.server_idle_timeout_ms &&
             !is_kept) ||
            (settings.server_lifetime_ms > 0 && age_ms > settings.server_lifetime_ms) ||
            budget_->is_using_reserve() || !is_in_use_) {
          due.push_back(server.get());
        }
        break;
      }
      case ServerConnection::State::kCanceling:
        if (!server->is_cancel_pending()) due.push_back(server.get());
        break;
      case ServerConnection::State::kActive:
      case ServerConnection::State::kClosing:
        break;
    }
  }
  for (ServerConnection* server : due) {
    if (server->state() == ServerConnection::State::kConnecting) {
      tell(server_event(Severity::kWarning, "server_connect_timeout", *server)
               .add_seconds("limit_s", uint64_t{settings.server_connect_timeout_ms} * 1000));
      on_connected(*server, ConnectFailure{ConnectFailure::Kind::kNoAnswer,
                                           Error{sqlstate::kNodeDown,
                                                 fmt::format("cannot connect to node \"{}\"", address_.name),
                                                 fmt::format("no answer within server_connect_timeout = {} s",
                                                             settings.server_connect_timeout_ms / 1000.0),
                                                 "its shards are not available until it is back"}});
    } else if (server->state() == ServerConnection::State::kCanceling && !server->is_cancel_in_doubt()) {
      settle(*server);
    } else if (server->state() == ServerConnection::State::kCanceling) {
      remove(*server, kCancelInDoubt);
    } else {
      remove(*server, !is_in_use_                ? kNotInUse
                      : budget_->is_over_limit() ? "default_pool_size"
                      : settings.server_lifetime_ms > 0 &&
                              now_ms - server->connected_ms() > settings.server_lifetime_ms
                          ? "server_lifetime"
                          : "server_idle_timeout");
    }
  }
  if (first_ != nullptr) grow();
  if (has_clients && is_in_use_) open_unasked(now_ms);
  update_starving();
  if (first_ == nullptr) give_up_idle();
}

// One connection at a time, for which nobody waits: up to min_pool_size, or to see whether the node lets the
// user in again.
void ConnectionPool::open_unasked(uint64_t now_ms) {
  const PoolSettings& settings = *environment_.settings;
  if (connecting_ > 0 || !health_->is_up()) return;
  if (failure_ ? now_ms < retry_at_ms_ + kUnaskedRetries * settings.server_login_retry_ms
               : budget_->used() >= settings.min_pool_size)
    return;
  if (budget_->try_take() == ConnectionBudget::Taken::kYes) open_connection();
}

}  // namespace mosaic::pool
