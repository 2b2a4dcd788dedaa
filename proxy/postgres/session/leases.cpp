// Which server the session has: asked for, given the client's settings, told what the transaction has said,
// and left again for one of another node.

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::NodeId;
using routing::Pin;
using routing::Route;
namespace sqlstate = routing::sqlstate;

namespace {

// "LISTEN, a temporary table": what the client's server is kept for.
std::string reasons_of(routing::Pins pins) {
  constexpr std::pair<Pin, const char*> kReasons[] = {
      {Pin::kListen, "LISTEN"},
      {Pin::kTemporary, "a temporary object"},
      {Pin::kHoldCursor, "a cursor WITH HOLD"},
      {Pin::kSessionLock, "a session advisory lock"},
      {Pin::kLibrary, "LOAD"},
      {Pin::kSetting, "a setting changed by other means than SET"}};
  std::string text;
  for (const auto& [pin, reason] : kReasons) {
    if (!pins.has(pin)) continue;
    if (!text.empty()) text += ", ";
    text += reason;
  }
  return text;
}

}  // namespace

Session::Server Session::need_server(const Route& route, const std::optional<pool::StatementKey>& preferred) {
  if (waiting_.error) return Server::kRefused;
  waiting_.phase_after = phase_;
  if (leg_.is_held()) {
    if (route.target == Route::Target::kAnyNode || route.node == leg_.node()) return Server::kReady;
    if (!leg_.is_busy() && leg_.status() == 'I' && leg_.remains.pins.is_empty()) {
      if (leg_.remains.is_unclean) {
        bring_to_rest();
        enter(Phase::kResting);
        return Server::kWaiting;
      }
      end_lease(LeaseEnd::kReturn);  // nothing was said to it yet
    } else if (may_leave_node()) {
      leave_node();
      return Server::kWaiting;
    } else {
      waiting_.error = std::make_unique<Error>(other_node_error(route));
      return Server::kRefused;
    }
  }
  times_.waiting_us = environment_.clock.now_us();
  ask_for_server(route.node, preferred, route.target == Route::Target::kAnyNode || waiting_.is_describing());
  if (route.target == Route::Target::kShard && !waiting_.is_describing()) {
    LeaseRequest& request = *outbox_.lease_request;
    request.shard = route.shard;
    request.is_read = route.is_read && !transaction_.is_open();
    if (fence_.shard == route.shard) {
      request.refused_at = fence_.refused_at;
      request.refusals = fence_.refusals;
    }
  }
  return Server::kWaiting;
}

void Session::ask_for_server(NodeId node, const std::optional<pool::StatementKey>& preferred,
                             bool is_any_node_good) {
  outbox_.lease_request = LeaseRequest{node, preferred, is_any_node_good};
  waiting_.first_asked = node;
  waiting_.attempts = 0;
  enter(Phase::kWaiting);
}

// Where what any node may begin is begun when all are alike: on that of the client's latest shard.
NodeId Session::likely_node() const {
  if (last_shard_ >= 0 && static_cast<uint32_t>(last_shard_) < catalog().shard_count())
    return catalog().node_of(routing::ShardId{static_cast<uint32_t>(last_shard_)});
  return catalog().default_node();
}

// The least busy of those that are up.
NodeId Session::idle_node() const {
  const NodeId likely = likely_node();
  return environment_.node_loads != nullptr ? environment_.node_loads->choose(likely) : likely;
}

NodeId Session::preferred_node(NodeId wanted) const {
  return environment_.node_loads != nullptr ? environment_.node_loads->prefer(wanted) : wanted;
}

bool Session::may_leave_node() const {
  const bool is_failed = leg_.status() == 'E' && !group_.may_recover;
  const bool can_be_said_again = leg_.status() != 'T' || !transaction_.said().empty();
  // Portals stay behind.
  const bool has_portal = std::any_of(portals_.effects.begin(), portals_.effects.end(),
                                      [](const PortalEffects& waiting) { return !waiting.portal.empty(); });
  return can_be_said_again && !transaction_.is_bound() && !is_failed && leg_.remains.pins.is_empty() &&
         !has_portal;
}

// What was said there is taken back, and said again where the next statement goes. A Sync first: what is
// under way may fail, and then the transaction stays.
void Session::leave_node() {
  attempt_.stop();
  if (leg_.is_busy()) {
    leg_.send_own_sync(Purpose::kLeave);
  } else {
    leg_.send_own_query(Purpose::kTakeBack, "ROLLBACK");
  }
  enter(Phase::kLeaving);
}

void Session::on_left(char status) {
  // What ran before in the same segment may have left more than its ROLLBACK takes back.
  if (transaction_.may_leave_traces()) leg_.remains.is_unclean = true;
  if (transaction_.traces.has(routing::Trace::kSequences)) leg_.server().has_used_sequences = true;
  if (group_.has_error) {
    // The client has been told; it stays in what the server says it is in.
    group_.skips_until_sync = true;
    if (status == 'I') {
      view_.roll_back(&leg_.server().settings);
      transaction_.reset();
      leave();
    } else {
      transaction_.on_ready(status, true);
      enter(waiting_.phase_after);
    }
    return;
  }
  if (status != 'I') {
    if (!transaction_.said().empty()) {
      leg_.send_own_query(Purpose::kTakeBack, "ROLLBACK");
      return;
    }
    // It can not be said again: it stays, and the statement is refused.
    transaction_.on_ready(status, false);
    transaction_.bind();
    resume();
    return;
  }
  note_left();
  leave();
}

void Session::note_left() {
  ++environment_.moved_transactions;
  group_.has_run_here |= transaction_.leave_server();
  transaction_.traces = {};
  transaction_.pins = {};
}

// At rest already, or once it is.
void Session::leave() {
  if (leg_.remains.is_unclean) {
    bring_to_rest();
    return;
  }
  end_lease(LeaseEnd::kReturn);
  go_on_elsewhere();
}

void Session::go_on_elsewhere() {
  if (waiting_.phase_after == Phase::kCopyUnrouted) {
    route_copy();
  } else {
    enter(waiting_.phase_after);
  }
}

// The message at hand is looked at when the server has answered all that came before it.
Session::Intake Session::drain() {
  waiting_.phase_after = phase_;
  attempt_.stop();
  leg_.send_flush();
  enter(Phase::kDraining);
  return Intake::kLater;
}

// A simple query ends the messages before it as a Sync does: also one that is answered here.
Session::Intake Session::end_segment() {
  waiting_.phase_after = phase_;
  attempt_.stop();
  leg_.send_own_sync(Purpose::kSegment);
  enter(Phase::kLeaving);
  return Intake::kLater;
}

Error Session::other_node_error(const Route& route) const {
  const std::string& here = catalog().node_name(leg_.node());
  const std::string& there = catalog().node_name(route.node);
  if (is_pinned()) {
    return Error{
        sqlstate::kTransactionNodes,
        fmt::format("this session keeps its server on node \"{}\" and can not use node \"{}\"", here, there),
        fmt::format("It is kept for: {}.", reasons_of(leg_.remains.pins)),
        "DISCARD ALL ends that, or what each has for it (DROP, CLOSE, UNLISTEN ...); or use another "
        "connection for it."};
  }
  const std::string needs = route.target == Route::Target::kShard
                                ? fmt::format("shard {} on node \"{}\"", route.shard.value, there)
                                : fmt::format("node \"{}\"", there);
  return Error{sqlstate::kTransactionNodes,
               fmt::format("this transaction is on node \"{}\"; the statement needs {}", here, needs),
               last_shard_ >= 0
                   ? fmt::format("the transaction's latest shard is {}; all statements between BEGIN and "
                                 "COMMIT, and between two Syncs of a pipeline, must fall on one node",
                                 last_shard_)
                   : "all statements between BEGIN and COMMIT, and between two Syncs of a pipeline, must "
                     "fall on one node",
               "end this transaction first, and run the statement in one of its own"};
}

// --- a server is there ---

void Session::on_lease(pool::ServerMemory& server) {
  fence_.refused_at = {};
  assert(phase_ == Phase::kWaiting && !leg_.is_held());
  leg_.attach(server);
  leg_.remains.is_unclean = false;
  if (const uint64_t since_us = std::exchange(times_.waiting_us, 0); since_us != 0)
    times_.waited_us += environment_.clock.now_us() - since_us;
  ++environment_.traffic[server.node.value].assignments;
  waiting_.has_been_rested = false;
  if (server.settings == view_.at_begin()) {
    on_server_prepared();
    return;
  }
  waiting_.own_error.reset();
  leg_.send_own_query(Purpose::kAssign, ClientView::statement_to_reach(server.settings, view_.at_begin()));
  enter(Phase::kPreparing);
}

// The statements of one query string are one transaction: either all of the settings were changed or none.
void Session::on_assigned() {
  if (!waiting_.own_error) {
    leg_.server().settings = view_.at_begin();
    on_server_prepared();
    return;
  }
  // What an earlier client left may be at fault: without it the client's own settings are tried once more.
  if (!waiting_.has_been_rested && !leg_.server().settings->is_empty()) {
    waiting_.has_been_rested = true;
    waiting_.own_error.reset();
    bring_to_rest();
    enter(Phase::kPreparing);
    return;
  }
  const Error error = *std::exchange(waiting_.own_error, nullptr);
  end_lease(LeaseEnd::kReturn);
  go_on_without_server(error);
}

void Session::on_server_prepared() {
  if (waiting_.phase_after == Phase::kWelcome) {
    environment_.welcomes->store(view_.login.user, welcome_key(), leg_.server().parameters);
    const pool::NameValuesRef parameters = leg_.server().parameters;
    end_lease(LeaseEnd::kReturn);
    finish_welcome(parameters);
    return;
  }
  if (transaction_.is_lost()) return fail_again();
  resume();
}

// What begins with the end of a failed transaction and goes on is a server's to answer: one is brought to
// where the transaction has failed.
void Session::fail_again() {
  std::string text;
  for (const std::string& said : transaction_.said()) text += said + ';';
  leg_.send_own_query(Purpose::kFail, text + "SELECT 1 OPERATOR(pg_catalog./) 0");
  enter(Phase::kPreparing);
}

void Session::on_failed_again(char status) {
  waiting_.own_error.reset();
  if (status != 'E') {
    end_lease(LeaseEnd::kDiscard);
    go_on_without_server(Error{sqlstate::kConnectionFailure,
                               "the failed transaction could not be brought to another server", "",
                               "End it with a ROLLBACK of its own."});
    return;
  }
  transaction_.on_failed_again();
  view_.follow(leg_.server().settings);
  resume();
}

void Session::resume() {
  enter(waiting_.phase_after);
  if (waiting_.refusal) {
    const std::unique_ptr<Error> refusal = std::move(waiting_.refusal);
    refuse(*refusal, waiting_.is_refusal_simple);
  } else if (phase_ == Phase::kSearching) {
    ask_for_prepared_transaction();
  } else if (phase_ == Phase::kCopyUnrouted) {
    route_copy();
  }
}

// Before a message of the client's goes to its server.
void Session::begin_on_leg(bool may_be_repeated) {
  const bool is_first = !leg_.is_busy() && !transaction_.is_bound() && leg_.status() != 'E';
  const bool can_be_said_again = leg_.status() == 'I' || !transaction_.said().empty();
  if (is_first && may_be_repeated && can_be_said_again) attempt_.start(transaction_.is_open());
  if (!transaction_.said().empty() && !transaction_.is_told()) {
    for (const std::string& text : transaction_.said()) leg_.send_statement(text, true);
    view_.follow(leg_.server().settings);
  }
  transaction_.set_told(true);
  // Amid a group, portals may be waiting that name one of them (EXECUTE).
  if (!leg_.is_busy()) leg_.send_closes();
}

void Session::end_lease(LeaseEnd end) {
  attempt_.stop();
  portals_.has_unnamed = false;
  leg_.end(end);
  leg_.remains = {};
}

// --- no server is to be had ---

void Session::on_lease_failed(const Error& error) {
  assert(phase_ == Phase::kWaiting);
  if (!ask_next_node(error)) go_on_without_server(error);
}

void Session::go_on_without_server(const Error& error) {
  fence_ = {};
  switch (waiting_.phase_after) {
    case Phase::kWelcome:
      close_with(error);
      return;
    case Phase::kSearching:
      enter(waiting_.phase_before_search);
      break;
    case Phase::kCopyUnrouted:
      enter(Phase::kCopyUnrouted);
      fail_copy(error);
      return;
    default:
      enter(waiting_.phase_after);
      break;
  }
  waiting_.error = std::make_unique<Error>(error);  // the message is delivered again and finds it
  if (!waiting_.refusal) return;
  const std::unique_ptr<Error> refusal = std::move(waiting_.refusal);
  refuse(*refusal, waiting_.is_refusal_simple);
  waiting_.error.reset();
}

// A log-in, or a statement that any node answers or describes alike, does not depend on one node.
bool Session::any_node_will_do() const {
  return waiting_.phase_after == Phase::kWelcome || waiting_.refusal ||
         (waiting_.route && waiting_.route->target == Route::Target::kAnyNode);
}

bool Session::may_go_elsewhere() const {
  return phase_ == Phase::kPreparing && (any_node_will_do() || waiting_.is_describing());
}

bool Session::ask_next_node(const Error& error) {
  const bool any_node_will_do = this->any_node_will_do();
  if (!any_node_will_do && !waiting_.is_describing()) return false;
  constexpr std::string_view kOfOneNode[] = {sqlstate::kNodeDown, sqlstate::kLoginRefused,
                                             sqlstate::kTooManyConnections, sqlstate::kConnectionFailure};
  if (std::find(std::begin(kOfOneNode), std::end(kOfOneNode), error.sqlstate) == std::end(kOfOneNode))
    return false;
  const uint32_t nodes = catalog().node_count();
  while (++waiting_.attempts < nodes) {
    const NodeId next{static_cast<uint16_t>((waiting_.first_asked.value + waiting_.attempts) % nodes)};
    if (!catalog().is_in_use(next)) continue;
    if (!any_node_will_do) {
      const auto shard = catalog().first_shard_on(next);
      if (!shard) continue;
      waiting_.route->shard = *shard;
      waiting_.route->node = next;
    }
    outbox_.lease_request = LeaseRequest{next, std::nullopt, waiting_.attempts + 1 < nodes};
    return true;
  }
  return false;
}

}  // namespace mosaic::proxy
