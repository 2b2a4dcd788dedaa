// What statements are counted by: their number, their time and their rows, per node, shard and shape. Reads
// the clock once a turn and allocates nothing, unless a statement was slow.

#include <algorithm>

#include "proxy/postgres/session/session.h"

namespace mosaic::proxy {

using routing::Route;
using routing::ShapeUse;

namespace {

// "INSERT 0 5", "SELECT 5", "COPY 5" ...: the number at the end; "BEGIN": 0.
uint64_t rows_of(std::string_view tag) {
  const size_t space = tag.rfind(' ');
  if (space == std::string_view::npos) return 0;
  uint64_t rows = 0;
  for (const char c : tag.substr(space + 1)) {
    if (c < '0' || c > '9') return 0;
    rows = rows * 10 + static_cast<uint64_t>(c - '0');
  }
  return rows;
}

int shard_of(const Route& route) {
  return route.target == Route::Target::kShard ? static_cast<int>(route.shard.value) : -1;
}

}  // namespace

void Session::count_query(const Route& route) {
  ++environment_.traffic[leg_.node().value].queries;
  last_shard_ = shard_of(route);
  if (last_shard_ < 0) return;
  if (route.shard.value < environment_.shard_queries.size()) ++environment_.shard_queries[route.shard.value];
}

// A statement is looked at, perhaps not for the first time.
void Session::note_statement(ShapeUse* use) {
  const uint64_t now_us = environment_.clock.now_us();
  if (times_.use.get() != use) times_.use = use;
  times_.is_noted = true;
  if (times_.began_us == 0) times_.began_us = now_us;
  if (!is_in_transaction()) times_.transaction_began_us = now_us;
}

// It was answered here, or refused.
void Session::count_here(bool has_failed) {
  if (!std::exchange(times_.is_noted, false) || !times_.use) return;
  ++times_.use->counts.calls;
  if (has_failed) ++times_.use->counts.errors;
}

// The message that will be answered last for a statement has been sent.
void Session::begin_timing(Expectation& expectation, ShapeUse* use) {
  times_.is_noted = false;
  expectation.is_timed = true;
  expectation.use = use;
  expectation.shard = last_shard_;
  expectation.sent_us = environment_.clock.now_us();
}

void Session::end_timing(Expectation& expectation, TimingEnd end) {
  if (!std::exchange(expectation.is_timed, false)) return;
  const uint64_t now_us = environment_.clock.now_us();
  // A pipeline's statements run one after the other.
  const uint64_t elapsed_us = now_us - std::max(expectation.sent_us, times_.last_answer_us);
  times_.last_answer_us = now_us;
  environment_.traffic[leg_.node().value].query_us += elapsed_us;
  if (expectation.shard >= 0 && static_cast<size_t>(expectation.shard) < environment_.shard_us.size())
    environment_.shard_us[static_cast<size_t>(expectation.shard)] += elapsed_us;
  if (ShapeUse* use = expectation.use.get()) {
    use->counts.time_us += elapsed_us;
    if (end != TimingEnd::kSuspended) {
      ++use->counts.calls;
      use->counts.errors += end == TimingEnd::kFailed;
      use->counts.times.add(elapsed_us);
    }
  }
  const uint64_t limit_us = environment_.slow_statement_us;
  if (limit_us > 0 && times_.waited_us + elapsed_us >= limit_us) {
    const uint64_t client_us = std::min(times_.held_back_us, elapsed_us);
    outbox_.slow_statements.push_back({expectation.use, leg_.node(), expectation.shard, times_.waited_us,
                                       elapsed_us - client_us, client_us, end == TimingEnd::kFailed});
  }
  times_.began_us = times_.waited_us = times_.held_back_us = 0;
}

// The message that failed may have come ahead of the one that is timed: the rest up to the Sync is skipped.
void Session::end_timing_of_failed() {
  for (size_t i = 0; i < leg_.owed().size(); ++i) {
    Expectation& owed = leg_.owed().at(i);
    if (owed.is_timed) return end_timing(owed, TimingEnd::kFailed);
    if (owed.kind == Kind::kSync || owed.is_bound) return;
  }
}

void Session::count_rows(Expectation& expectation, std::string_view tag) {
  if (expectation.use) expectation.use->counts.rows += rows_of(tag);
}

// The statement of a portal, for its Execute.
void Session::note_portal(std::string_view name, ShapeUse* use) {
  if (name.empty()) {
    portals_.unnamed_use = use;
    portals_.unnamed_shard = last_shard_;
    return;
  }
  constexpr size_t kNamedMax = 8;  // the statements of more are counted without their shape
  std::erase_if(portals_.named_uses, [&](const PortalUse& portal) { return portal.name == name; });
  if (portals_.named_uses.size() == kNamedMax) portals_.named_uses.erase(portals_.named_uses.begin());
  portals_.named_uses.push_back({std::string(name), use, last_shard_});
}

void Session::begin_timing_of_portal(Expectation& expectation, std::string_view name) {
  if (name.empty()) {
    begin_timing(expectation, portals_.unnamed_use.get());
    expectation.shard = portals_.unnamed_shard;
    return;
  }
  const auto at = std::find_if(portals_.named_uses.begin(), portals_.named_uses.end(),
                               [&](const PortalUse& portal) { return portal.name == name; });
  const bool is_known = at != portals_.named_uses.end();
  begin_timing(expectation, is_known ? at->use.get() : nullptr);
  expectation.shard = is_known ? at->shard : -1;
}

Session::Running Session::running() const {
  Running running;
  running.shape = times_.use.get();
  running.shard = waiting_.is_describing() ? -1 : waiting_.route ? shard_of(*waiting_.route) : last_shard_;
  running.began_us = times_.began_us;
  for (size_t i = 0; i < leg_.owed().size(); ++i) {
    const Expectation& owed = leg_.owed().at(i);
    if (!owed.is_timed) continue;
    running.shape = owed.use.get();
    running.shard = owed.shard;
    running.began_us = std::max(owed.sent_us, times_.last_answer_us);
    break;
  }
  running.waited_us = times_.waited_us;
  running.waiting_us = times_.waiting_us;
  running.transaction_began_us =
      is_in_transaction() || times_.began_us != 0 ? times_.transaction_began_us : 0;
  return running;
}

}  // namespace mosaic::proxy
