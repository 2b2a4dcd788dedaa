#include "admin/move/cutover.h"

#include <fmt/format.h>

#include <future>
#include <set>

#include "admin/move/fault_points.h"
#include "admin/move/move_objects.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::quote_literal;
using routing::Status;

namespace {

// A hold ends by itself, in every proxy, should nobody be left to end it.
constexpr uint32_t kHoldMs = 2'000;
constexpr uint64_t kPatientAttempts = 20;
constexpr uint64_t kLateAttempts = 5;

uint64_t us_since(std::chrono::steady_clock::time_point began) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)
          .count());
}

}  // namespace

Cutover::Cutover(const Config& config, MoveStore& store, MoveNodes& nodes, const MoveScripts& scripts,
                 MoveRow& row, Side from)
    : config_(config),
      store_(store),
      nodes_(nodes),
      scripts_(scripts),
      row_(row),
      from_(from),
      way_(from == Side::kSource ? Way::kForward : Way::kBack) {}

Status Cutover::connect() {
  auto source = nodes_.connection(from_);
  if (!source) return source.error();
  auto target = nodes_.connection(to());
  if (!target) return target.error();
  auto probe = nodes_.connection(from_, MoveNodes::Use::kProbe);
  if (!probe) return probe.error();
  source_ = *source;
  target_ = *target;
  probe_ = *probe;
  // Asked once before anybody waits for it: the first answer of a connection takes longest.
  if (auto asked = probe_->query(scripts_.open_transactions(true)); !asked) return asked.error();
  return target_->execute("LISTEN " + scripts_.lane(way_));
}

std::optional<Cutover::Result> Cutover::approach(Status (Cutover::*last)()) {
  ++row_.progress.attempts;
  if (Status status = connect(); !status) return fail(status.error());
  Status status = look();
  began_ = Clock::now();
  row_.progress.pause_us.clear();
  // One step of the pause, and the point behind it.
  const auto step = [&](const char* name, const char* point, auto&& work) {
    if (!status || is_changed_) return;
    const auto step_began = Clock::now();
    status = work();
    row_.progress.pause_us[name] = us_since(step_began);
    if (status && !is_changed_) status = pass_fault_point(point);
  };
  step("hold", "cutover.held",
       [&] { return skips_step("cutover.hold") ? Status() : store_.hold(row_, kHoldMs); });
  step("drain", "cutover.drained", [&] { return drain(); });
  if (status && is_late())
    status = Error{routing::sqlstate::kLockNotAvailable,
                   fmt::format("the attempt had taken {} ms before the source was to be closed",
                               us_since(began_) / 1000),
                   "", ""};
  step("close", "cutover.closed", [&] { return close_source(); });
  step("catch_up", "cutover.marker", [&] { return wait_for_marker(); });
  read_began_ = Clock::now();
  step("open", "cutover.opened", [&] { return (this->*last)(); });
  if (!status) return fail(status.error());
  if (!is_changed_) return std::nullopt;
  if (Status back = take_back(); !back) return fail(back.error());
  return Result::kChanged;
}

Cutover::Result Cutover::attempt(MoveState to_state) {
  if (const auto ended = approach(&Cutover::open_target)) return *ended;
  row_.progress.write_pause_us = us_since(began_);  // but for the flip, with which it is written
  const auto flip_began = Clock::now();
  if (Status status = store_.flip(row_, to_state, node_name(to())); !status) return fail(status.error());
  row_.progress.pause_us["flip"] = us_since(flip_began);
  row_.progress.write_pause_us = us_since(began_);
  row_.progress.read_pause_us = us_since(read_began_);
  row_.progress.blockers.clear();
  row_.message.clear();
  if (!pass_fault_point("cutover.flipped")) return Result::kUnknown;
  return Result::kSwitched;
}

Cutover::Result Cutover::rehearse() {
  if (const auto ended = approach(&Cutover::try_target)) return *ended;
  const auto release_began = Clock::now();
  Status status = source_->execute(scripts_.reopen(row_.lease));
  if (status) status = store_.release(row_);
  if (!status) return fail(status.error());
  row_.progress.pause_us["reopen"] = us_since(release_began);
  row_.progress.write_pause_us = us_since(began_);
  row_.progress.blockers.clear();
  return Result::kRehearsed;
}

// Of requests that were answered, or of a connection that was lost: then what was asked for may still happen.
Cutover::Result Cutover::fail(const Error& error) {
  if (error.sqlstate == routing::sqlstate::kStaleMover) return Result::kTakenOver;
  row_.message = error.to_line();
  const bool is_lost =
      error.sqlstate == routing::sqlstate::kConnectionFailure || error.sqlstate.starts_with("57");
  if (is_lost) return Result::kUnknown;
  if (error.sqlstate == routing::sqlstate::kLockNotAvailable ||
      error.sqlstate == routing::sqlstate::kDeadlock) {
    // Nothing was done: whoever waits goes on at once.
    if (!store_.release(row_) || !source_->execute("ROLLBACK")) return Result::kUnknown;
    note_blockers();
    return Result::kAgain;
  }
  const Status back = take_back();
  if (back) return Result::kAgain;
  if (back.error().sqlstate == routing::sqlstate::kStaleMover) return Result::kTakenOver;
  row_.message += fmt::format("; and it is not taken back yet: {}", back.error().to_line());
  return Result::kUnknown;
}

// What can be known before anybody has to wait.
Status Cutover::look() {
  auto next =
      source_->query(fmt::format("SELECT coalesce(max(marker), 0) + 1, ({}), pg_backend_pid() FROM {}",
                                 scripts_.count_relations(), scripts_.lane_table(way_)));
  if (!next) return next.error();
  marker_ = next->text(0, 0);
  relations_ = next->text(0, 1);
  own_pid_ = next->text(0, 2);
  auto looked = source_->run(scripts_.look(row_.lease, config_.moves.lock_timeout_ms));
  if (!looked) return looked.error();
  is_changed_ = way_ == Way::kForward && looked->text(0, 0) != row_.facts.fingerprint;
  return {};
}

Status Cutover::close_source() {
  auto closed = source_->run(skips_step("cutover.fence") ? scripts_.mark(marker_, way_)
                                                         : scripts_.close(marker_, way_));
  if (!closed) return closed.error();
  is_changed_ = closed->text(0, 0) != relations_;
  sequences_.clear();
  if (row_.facts.sequences.empty()) return {};
  auto sequences = source_->query(scripts_.read_sequences());
  if (!sequences) return sequences.error();
  sequences_ = sequences->text(0, 0);
  return {};
}

Status Cutover::wait_for_marker() {
  const auto deadline = Clock::now() + std::chrono::milliseconds(config_.moves.catch_up_timeout_ms);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0)
      return Error{routing::sqlstate::kWaitTimeout,
                   fmt::format("node {} had not caught up within {} ms", node_name(to()),
                               config_.moves.catch_up_timeout_ms),
                   "", ""};
    auto notification = target_->next_notification(left);
    if (!notification) return notification.error();
    if (*notification && (*notification)->channel == scripts_.lane(way_) &&
        (*notification)->payload == marker_)
      return {};
  }
}

// Before anybody can write on the other side, nobody reads here any more: a proxy that does not know yet
// would tell its clients what was. Both at once.
Status Cutover::open_target() {
  auto refused = std::async(std::launch::async, [this] {
    return skips_step("cutover.fence") ? Status() : source_->execute(scripts_.refuse_reads(row_.lease));
  });
  auto opened = target_->run(scripts_.open(row_.lease, sequences_));
  if (Status status = refused.get(); !status) return status;
  if (!opened) return opened.error();
  if (way_ == Way::kForward) row_.facts.switched_lsn = opened->text(0, 0);
  return {};
}

// As much of it as can be taken back.
Status Cutover::try_target() { return target_->execute(scripts_.try_to_open(row_.lease)); }

// On a node that is short of CPU even what takes no time takes long; then rather another attempt, a few
// times.
bool Cutover::is_late() const {
  return us_since(began_) > 2'000 * uint64_t{config_.moves.lock_timeout_ms} &&
         row_.progress.attempts % kLateAttempts != 0;
}

// Whoever is amid a transaction that has used the shard ends it first: from its next statement on it would be
// refused.
Status Cutover::drain() {
  // Those that only run one statement are not waited for for ever.
  const bool with_active = row_.progress.attempts % kPatientAttempts != 0;
  std::set<std::pair<std::string, std::string>> open;
  const auto deadline = Clock::now() + std::chrono::milliseconds(config_.moves.lock_timeout_ms);
  for (bool is_first = true;; is_first = false) {
    auto rows = probe_->query(scripts_.open_transactions(with_active));
    if (!rows) return rows.error();
    std::set<std::pair<std::string, std::string>> now;
    for (int row = 0; row < rows->count(); ++row) {
      if (rows->text(row, 0) != own_pid_) now.emplace(rows->text(row, 0), rows->text(row, 1));
    }
    if (is_first) open = now;
    std::erase_if(open, [&](const auto& transaction) { return !now.contains(transaction); });
    if (open.empty()) return {};
    if (Clock::now() >= deadline)
      return Error{routing::sqlstate::kLockNotAvailable,
                   "transactions that use the shard were open for too long", "", ""};
    nodes_.interrupt().wait_ms(1);
  }
}

Status Cutover::take_back() {
  nodes_.forget();  // one may be amid a transaction that has failed
  if (Status status = connect(); !status) return status;
  if (Status status = target_->execute(scripts_.close_again(row_.lease)); !status) return status;
  if (Status status = pass_fault_point("cutover.undone"); !status) return status;
  if (Status status = source_->execute(scripts_.reopen(row_.lease)); !status) return status;
  return store_.release(row_);
}

// Who has written to the shard and not ended yet.
void Cutover::note_blockers() {
  auto connection = nodes_.open(from_);
  if (!connection) return;
  if (auto holders = find_holders(*connection, scripts_)) row_.progress.blockers = *holders;
}

}  // namespace mosaic::admin
