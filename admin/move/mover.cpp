#include "admin/move/mover.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "admin/move/fault_points.h"
#include "admin/move/move_objects.h"
#include "admin/move/schema_dump.h"
#include "admin/move/shard_comparison.h"
#include "admin/move/shard_copy.h"
#include "routing/catalog_snapshot.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::Status;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kMoverTurnMs = 200;  // how often what runs in the background is looked at
constexpr uint32_t kRetryMinMs = 100, kRetryMaxMs = 5'000;
constexpr std::chrono::milliseconds kRoundTripLimit{5'000};
// The target follows closely enough to be switched to when a marker takes no longer.
constexpr std::chrono::microseconds kCaughtUp{500'000};

bool is_lost_connection(const Error& error) {
  return error.sqlstate == routing::sqlstate::kConnectionFailure || error.sqlstate.starts_with("57P") ||
         error.sqlstate.starts_with("08");
}

}  // namespace

Mover::Mover(Config config, MoveStore store, MoveRow row, pool::EventSink* events)
    : config_(std::move(config)),
      id_(row.id),
      store_(std::move(store)),
      row_(std::move(row)),
      events_(events),
      nodes_(config_, row_, interrupt_),
      scripts_(row_, schema(), config_.catalog.schema),
      wish_(row_.wish) {}

Mover::~Mover() {
  stop();
  keeper_stop_.raise();
  if (keeper_.joinable()) keeper_.join();
}

std::string Mover::schema() const {
  return routing::shard_schema_name(config_.shards.schema_prefix, row_.shard, config_.shards.count);
}

void Mover::stop() {
  stop_.raise();
  interrupt_.raise();
}

void Mover::tell(const char* name, pool::Severity severity) const {
  if (events_ == nullptr) return;
  pool::Event event(severity, name);
  event.add("move", row_.id)
      .add("shard", row_.shard.value)
      .add("source", row_.source)
      .add("target", row_.target);
  event.add("state", to_text(row_.state));
  if (!row_.message.empty()) event.add("message", row_.message);
  if (row_.progress.write_pause_us > 0) event.add_seconds("write_pause_s", row_.progress.write_pause_us);
  events_->record(event);
}

// The lease, and what an operator wishes; on a connection and a thread of its own.
void Mover::keep_lease() {
  auto renewed = Clock::now();
  std::optional<MoveStore> store;
  while (!keeper_stop_.wait_ms(kMoverTurnMs)) {
    if (Clock::now() - renewed > std::chrono::milliseconds(config_.moves.lease_ms)) return stop();
    if (!store) {
      auto opened = MoveStore::open(config_, &keeper_stop_);
      if (!opened) continue;
      store.emplace(std::move(*opened));
    }
    const auto began = Clock::now();
    auto row = store->find(id_);
    Status status = row ? store->renew(row_, config_.moves.lease_ms) : Status(row.error());
    if (!status && status.error().sqlstate == routing::sqlstate::kStaleMover) return stop();
    if (!status) {
      store.reset();
      continue;
    }
    renewed = began;
    const std::lock_guard lock(mutex_);
    if (row->wish != wish_ && !row->wish.empty() && row->wish != "pause") interrupt_.raise();
    wish_ = row->wish;
  }
}

void Mover::run() {
  keeper_ = std::thread([this] { keep_lease(); });
  tell("move_taken", pool::Severity::kInfo);
  while (!stop_.is_raised() && !is_final(row_.state)) {
    if (const auto wish = wished()) {
      if (const auto following = next(row_.state, *wish)) {
        if (!enter(*following)) break;
        continue;
      }
    }
    const auto began = Clock::now();
    const Outcome outcome = work();
    row_.progress.phase_us[std::string(to_text(row_.state))] += static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count());
    if (outcome.is_over) break;
    const auto following = next(row_.state, outcome.event);
    if (following && *following != row_.state) {
      if (!enter(*following)) break;
      continue;
    }
    ++tries_;
    static_cast<void>(store_.save_progress(row_));
    if (row_.state == MoveState::kSoaking) continue;
    stop_.wait_ms(static_cast<int>(std::min(kRetryMaxMs, kRetryMinMs << std::min(tries_, 10u))));
    if (!stop_.is_raised()) interrupt_.reset();
  }
  if (!is_final(row_.state)) static_cast<void>(store_.give_up(row_));
  keeper_stop_.raise();
  keeper_.join();
  snapshot_holder_.reset();
}

void Mover::reopen_store() {
  auto opened = MoveStore::open(config_, &stop_);
  if (opened) store_ = std::move(*opened);
}

// False: this mover is not to go on.
bool Mover::enter(MoveState state) {
  if (is_final(state)) row_.facts = {};  // its definitions are large, and nobody goes on with it
  Status saved = store_.save(row_, state);
  while (!saved) {
    if (saved.error().sqlstate == routing::sqlstate::kStaleMover || stop_.wait_ms(kRetryMinMs)) return false;
    // It may have been saved, or be about to be: not under the lease that follows.
    reopen_store();
    saved = store_.take_lease_anew(row_);
    is_sure_ = false;
    if (saved) saved = store_.save(row_, state);
  }
  row_.wish.clear();
  row_.state = state;
  tries_ = repairs_ = 0;
  must_take_back_ = true;
  if (!stop_.is_raised()) interrupt_.reset();
  tell("move_state", state == MoveState::kAborting ? pool::Severity::kWarning : pool::Severity::kInfo);
  return true;
}

std::optional<MoveEvent> Mover::wished() {
  const std::lock_guard lock(mutex_);
  row_.wish = wish_;
  if (wish_ == "cancel") return MoveEvent::kCancel;
  if (wish_ == "undo") return MoveEvent::kUndo;
  if (wish_ == "finish") return MoveEvent::kFinish;
  return std::nullopt;
}

Mover::Outcome Mover::later(MoveEvent event) { return {event, false}; }

Mover::Outcome Mover::outcome_of(const Error& error, MoveEvent otherwise) {
  nodes_.forget();
  if (error.sqlstate == routing::sqlstate::kStaleMover) return {MoveEvent::kAgain, true};
  if (error.sqlstate == routing::sqlstate::kQueryCanceled && interrupt_.is_raised()) return later();
  row_.message = error.to_line();
  if (!is_lost_connection(error)) return later(otherwise);
  is_sure_ = false;
  return later();
}

Mover::Outcome Mover::work() {
  {
    // An operator's pause holds what has not begun yet; what must not wait is done.
    const std::lock_guard lock(mutex_);
    if (wish_ == "pause" && row_.state < MoveState::kCutover) {
      row_.message = "paused by an operator";
      return later();
    }
  }
  if (!is_sure_) {
    if (Status status = make_sure(); !status) return outcome_of(status.error());
    if (is_final(row_.state)) return {MoveEvent::kAgain, true};
  }
  switch (row_.state) {
    case MoveState::kPlanned:
      return later(MoveEvent::kDone);
    case MoveState::kPreparing:
      return prepare();
    case MoveState::kCopying:
      return copy();
    case MoveState::kIndexing:
      return index();
    case MoveState::kCatchingUp:
      return catch_up();
    case MoveState::kVerifying:
      return verify();
    case MoveState::kReady:
      return make_way_back();
    case MoveState::kCutover:
      return cut_over(Side::kSource, MoveState::kSwitched);
    case MoveState::kSwitched:
      return switch_lanes();
    case MoveState::kSoaking:
      return soak();
    case MoveState::kUndoing:
      return cut_over(Side::kTarget, MoveState::kUndone);
    case MoveState::kUndone:
      return clear_up(Side::kTarget, "abort.dropped", "abort.schema");
    case MoveState::kFinishing:
      return clear_up(Side::kSource, "finish.dropped", "finish.schema");
    case MoveState::kAborting:
      return clear_up(Side::kTarget, "abort.dropped", "abort.schema");
    case MoveState::kComplete:
    case MoveState::kReturned:
    case MoveState::kAborted:
    case MoveState::kRehearsed:
      break;
  }
  return {MoveEvent::kAgain, true};
}

// --- being the only one ---

// What was asked for on connections that were lost, by this mover or one before it, can not happen any more;
// the row says what has.
Status Mover::make_sure() {
  nodes_.forget();
  Status status = store_.take_lease_anew(row_);
  if (!status && status.error().sqlstate != routing::sqlstate::kStaleMover) reopen_store();
  if (status) status = guard_nodes();
  is_sure_ = static_cast<bool>(status);
  must_take_back_ = true;
  return status;
}

Status Mover::guard_nodes() {
  for (const Side side : {Side::kSource, Side::kTarget}) {
    auto node = nodes_.connection(side);
    if (!node) return node.error();
    if (Status status = (*node)->execute(scripts_.guard(row_.lease)); !status) return status;
  }
  return pass_fault_point("prepare.guarded");
}

// --- copying ... ready ---

// Errors: the source keeps more log for the move than it may.
Status Mover::watch_source(Connection& source) {
  auto retained = retained_wal(source, scripts_, Way::kForward);
  if (!retained) return retained.error();
  row_.progress.retained_wal_bytes = *retained;
  if (*retained <= config_.moves.retained_wal_bytes) return {};
  return Error{routing::sqlstate::kLimitExceeded,
               fmt::format("node {} keeps {} bytes of log for the move", row_.source, *retained),
               fmt::format("moves.max_retained_wal = {}", config_.moves.retained_wal_bytes),
               "move when there are fewer writes, with more connections (parallel), or raise the limit"};
}

Mover::Outcome Mover::copy() {
  if (!snapshot_holder_) {  // it was another process's
    row_.message = "the copy is begun anew: whoever held its snapshot is gone";
    return later(MoveEvent::kLost);
  }
  if (Status status = pass_fault_point("copy.begun"); !status)
    return outcome_of(status.error(), MoveEvent::kLost);
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  ShardCopy copy(nodes_, scripts_, row_, snapshot_);
  const auto began = Clock::now();
  auto done = std::async(std::launch::async, [&] { return copy.run(); });
  Status watched;
  while (done.wait_for(std::chrono::milliseconds(kMoverTurnMs)) != std::future_status::ready) {
    {
      const std::lock_guard lock(mutex_);
      copy.set_paused(wish_ == "pause");
    }
    row_.progress.rows = copy.rows();
    row_.progress.bytes = copy.bytes();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
    row_.progress.rate_bytes = copy.bytes() * 1000 / static_cast<uint64_t>(std::max<int64_t>(1, ms));
    if (watched) watched = watch_source(**source);
    if (!watched) interrupt_.raise();
    static_cast<void>(store_.save_progress(row_));
  }
  const Status copied = done.get();
  row_.progress.rows = copy.rows();
  row_.progress.bytes = copy.bytes();
  snapshot_holder_.reset();
  if (!watched) return outcome_of(watched.error(), MoveEvent::kFailed);
  // The snapshot is gone either way.
  if (!copied) {
    const Outcome outcome = outcome_of(copied.error(), MoveEvent::kFailed);
    return outcome.event == MoveEvent::kAgain && !outcome.is_over ? later(MoveEvent::kLost) : outcome;
  }
  if (Status status = pass_fault_point("copy.done"); !status)
    return outcome_of(status.error(), MoveEvent::kLost);
  row_.message.clear();
  return later(MoveEvent::kDone);
}

// In one transaction, which says that it is done: whoever goes on knows.
Mover::Outcome Mover::index() {
  auto target = nodes_.open(Side::kTarget, "-c maintenance_work_mem=256MB");
  if (!target) return outcome_of(target.error());
  const std::string mark = fmt::format("{}.{}indexed", config_.catalog.schema, scripts_.prefix());
  auto marked = target->query("SELECT to_regclass($1) IS NOT NULL", {mark});
  if (!marked) return outcome_of(marked.error());
  if (marked->text(0, 0) != "t") {
    const Status made = target->execute(scripts_.begin_guarded(row_.lease) + row_.facts.post_data +
                                        fmt::format("\nCREATE TABLE {} ();\nCOMMIT;", mark));
    if (!made) return outcome_of(made.error(), MoveEvent::kFailed);
  }
  for (const MoveTable& table : row_.facts.tables) {
    if (Status status = target->execute("ANALYZE " + scripts_.table(table.name)); !status)
      return outcome_of(status.error());
  }
  if (Status status = pass_fault_point("index.done"); !status) return outcome_of(status.error());
  return later(MoveEvent::kDone);
}

// A subscription that an error has disabled is enabled again, a few times: it may have been one that passes,
// such as a connection that was lost.
bool Mover::repairs_lane(Connection& receiver, Way way) {
  constexpr uint32_t kRepairsMax = 5;
  if (repairs_ >= kRepairsMax) return false;
  ++repairs_;
  tell("move_lane_repaired", pool::Severity::kWarning);
  interrupt_.wait_ms(kMoverTurnMs);
  return static_cast<bool>(receiver.execute(fmt::format("ALTER SUBSCRIPTION {} ENABLE", scripts_.lane(way))));
}

Mover::Outcome Mover::catch_up() {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  auto fault = find_lane_fault(**source, **target, scripts_, Way::kForward, false);
  if (!fault) return outcome_of(fault.error());
  if (!fault->empty()) {
    row_.message = *fault;
    return later(MoveEvent::kLost);
  }
  Status status = (*target)->execute(
      fmt::format("LISTEN {0}; ALTER SUBSCRIPTION {0} ENABLE", scripts_.lane(Way::kForward)));
  if (status) status = pass_fault_point("catch_up.enabled");
  if (!status) return outcome_of(status.error());
  while (!interrupt_.is_raised()) {
    auto took = send_marker(**source, **target, scripts_, Way::kForward, kRoundTripLimit);
    if (took) {
      row_.progress.marker_us = static_cast<uint64_t>(took->count());
      if (*took <= kCaughtUp) break;
    } else if (took.error().sqlstate != routing::sqlstate::kWaitTimeout) {
      return outcome_of(took.error());
    }
    fault = find_lane_fault(**source, **target, scripts_, Way::kForward, true);
    if (!fault) return outcome_of(fault.error());
    if (!fault->empty()) {
      row_.message = *fault;
      if (repairs_lane(**target, Way::kForward)) continue;
      return later(MoveEvent::kFailed);
    }
    if (status = watch_source(**source); !status) return outcome_of(status.error(), MoveEvent::kFailed);
    row_.message = "the target has not caught up yet";
    static_cast<void>(store_.save_progress(row_));
  }
  if (status = pass_fault_point("catch_up.marker"); !status) return outcome_of(status.error());
  row_.message.clear();
  return later(interrupt_.is_raised() ? MoveEvent::kAgain : MoveEvent::kDone);
}

Mover::Outcome Mover::verify() {
  if (row_.options.verify == MoveOptions::Verify::kOff) return later(MoveEvent::kDone);
  auto source = nodes_.open(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.open(Side::kTarget);
  if (!target) return outcome_of(target.error());
  if (Status status = target->execute("LISTEN " + scripts_.lane(Way::kForward)); !status)
    return outcome_of(status.error());
  auto compared = compare_shard(*source, *target, scripts_, row_, Way::kForward);
  if (!compared) return outcome_of(compared.error());
  row_.progress.compared_rows = compared->rows;
  row_.progress.differences = compared->differences.size();
  row_.progress.busy_buckets = compared->busy_buckets;
  if (!compared->differences.empty()) {
    row_.message =
        fmt::format("the copy differs from the source: {}", fmt::join(compared->differences, "; "));
    return later(MoveEvent::kFailed);
  }
  if (Status status = pass_fault_point("verify.done"); !status) return outcome_of(status.error());
  return later(MoveEvent::kDone);
}

}  // namespace mosaic::admin
