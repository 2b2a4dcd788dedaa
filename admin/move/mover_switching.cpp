// From the way back on: the switch, what comes behind it, and the end of a move either way.

#include <fmt/format.h>

#include "admin/move/fault_points.h"
#include "admin/move/move_objects.h"
#include "admin/move/mover.h"
#include "admin/move/schema_dump.h"
#include "admin/move/warming.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Status;

namespace {

// How often the way back of what soaks is looked at.
constexpr int kSoakTurnMs = 1'000;
// What proxies get to hear that a shard is coming and to open connections.
constexpr int kArrivalMs = 250;

}  // namespace

Mover::Outcome Mover::warm() {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.open(Side::kTarget);
  if (!target) return outcome_of(target.error());
  auto warmed = warm_shard(**source, *target, scripts_);
  if (warmed) {
    row_.progress.warmed_bytes = *warmed;
    return later(MoveEvent::kDone);
  }
  // Without it the move is as good, its first seconds may be slow.
  Outcome outcome = outcome_of(warmed.error(), MoveEvent::kDone);
  if (outcome.event == MoveEvent::kDone) tell("move_not_warmed", pool::Severity::kWarning);
  return outcome;
}

// The slot on the target is made before anybody writes there, so that all of it can be taken back.
Mover::Outcome Mover::make_way_back() {
  if (const Outcome warmed = warm(); warmed.event != MoveEvent::kDone) return warmed;
  if (!row_.options.is_rehearsal) interrupt_.wait_ms(kArrivalMs);
  row_.facts.has_way_back = false;
  if (row_.options.soak_ms == 0 || row_.options.is_rehearsal) return later(MoveEvent::kDone);
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  Status status = drop_subscription(**source, scripts_, Way::kBack);
  if (status) status = drop_slot(**target, scripts_, Way::kBack);
  if (status)
    status = (*target)->execute(fmt::format("DROP PUBLICATION IF EXISTS {};\n{}", scripts_.lane(Way::kBack),
                                            scripts_.publication(Way::kBack)));
  if (!status) return outcome_of(status.error());
  auto slot = wait_for_slot(Side::kTarget, [&] {
    return (*target)->query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')",
                            {scripts_.lane(Way::kBack)});
  });
  if (!slot) return outcome_of(slot.error());
  if (status = pass_fault_point("ready.slot"); !status) return outcome_of(status.error());
  status = (*source)->execute(
      scripts_.subscription(Way::kBack, connection_text(nodes_.target(Side::kTarget), true)));
  if (status) status = pass_fault_point("ready.subscribed");
  if (!status) return outcome_of(status.error());
  row_.facts.has_way_back = true;
  return later(MoveEvent::kDone);
}

// --- the switch ---

Mover::Outcome Mover::cut_over(Side from, MoveState to_state) {
  Cutover cutover(config_, store_, nodes_, scripts_, row_, from);
  if (must_take_back_) {
    if (Status status = cutover.take_back(); !status) return outcome_of(status.error());
    must_take_back_ = false;
    const Way way = from == Side::kSource ? Way::kForward : Way::kBack;
    const Side to = from == Side::kSource ? Side::kTarget : Side::kSource;
    auto fault = find_lane_fault(**nodes_.connection(from), **nodes_.connection(to), scripts_, way, true);
    if (!fault) return outcome_of(fault.error());
    if (!fault->empty()) {
      row_.message = *fault;
      return later(from == Side::kSource ? MoveEvent::kLost : MoveEvent::kFailed);
    }
  }
  const auto result = row_.options.is_rehearsal ? cutover.rehearse() : cutover.attempt(to_state);
  switch (result) {
    case Cutover::Result::kSwitched:
      return later(MoveEvent::kDone);
    case Cutover::Result::kRehearsed:
      row_.message = fmt::format("rehearsed: writes were paused for {:.1f} ms",
                                 static_cast<double>(row_.progress.write_pause_us) / 1000);
      return later(MoveEvent::kRehearsed);
    case Cutover::Result::kAgain:
      return later();
    case Cutover::Result::kTakenOver:
      return {MoveEvent::kAgain, true};
    case Cutover::Result::kChanged:
      if (from == Side::kTarget) {
        row_.message = "a relation was made or dropped amid the attempt";
        return later();
      }
      row_.message = "the shard's definitions were changed while it was copied: it is copied anew";
      return later(MoveEvent::kLost);
    case Cutover::Result::kUnknown:
      break;
  }
  is_sure_ = false;  // both sides stay as they are until the row has been read
  return later();
}

// The map says the target. Only forward from here.
Mover::Outcome Mover::switch_lanes() {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  Status status = (*source)->execute(scripts_.refuse_reads(row_.lease));
  if (status) status = pass_fault_point("switched.closed");
  if (status) status = (*target)->execute(scripts_.reopen(row_.lease));
  if (status) status = pass_fault_point("switched.opened");
  if (status) status = drop_subscription(**target, scripts_, Way::kForward);
  if (status) status = drop_slot(**source, scripts_, Way::kForward);
  if (status) status = pass_fault_point("switched.dropped");
  if (!status) return outcome_of(status.error());
  if (!row_.facts.has_way_back) return later(MoveEvent::kDone);
  const std::string lane = scripts_.lane(Way::kBack);
  auto enabled = (*source)->query("SELECT subenabled, oid FROM pg_subscription WHERE subname = $1", {lane});
  if (!enabled) return outcome_of(enabled.error());
  if (enabled->count() > 0 && enabled->text(0, 0) != "t") {
    // What came to the target by the forward lane is here already: the way back begins behind it.
    auto advanced = (*source)->query("SELECT pg_replication_origin_advance($1, $2)",
                                     {fmt::format("pg_{}", enabled->text(0, 1)), row_.facts.switched_lsn});
    if (!advanced) return outcome_of(advanced.error());
    status = (*source)->execute(fmt::format("ALTER SUBSCRIPTION {} ENABLE", lane));
    if (!status) return outcome_of(status.error());
  }
  if (status = pass_fault_point("switched.back"); !status) return outcome_of(status.error());
  row_.message.clear();
  return later(MoveEvent::kDone);
}

Mover::Outcome Mover::soak() {
  if (!row_.facts.has_way_back) return later(MoveEvent::kDone);
  if (Status status = pass_fault_point("soak.begun"); !status) return outcome_of(status.error());
  auto row = store_.find(id_);
  if (!row) {
    reopen_store();
    return later();
  }
  if (row->in_state_ms >= row_.options.soak_ms) return later(MoveEvent::kDone);
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  auto fault = find_lane_fault(**target, **source, scripts_, Way::kBack, true);
  if (!fault) return outcome_of(fault.error());
  auto retained = retained_wal(**target, scripts_, Way::kBack);
  if (!retained) return outcome_of(retained.error());
  row_.progress.retained_wal_bytes = *retained;
  if (fault->empty() && *retained > config_.moves.retained_wal_bytes)
    *fault = fmt::format("node {} kept {} bytes of log for it", row_.target, *retained);
  if (!fault->empty() && *retained <= config_.moves.retained_wal_bytes) {
    row_.message = *fault;
    if (repairs_lane(**source, Way::kBack)) return later();
  }
  if (!fault->empty()) {
    row_.facts.has_way_back = false;
    row_.message = "UNDO is not possible any more: " + *fault;
    tell("move_way_back_lost", pool::Severity::kWarning);
    return later(MoveEvent::kDone);
  }
  row_.message = "UNDO MOVE brings it back";
  nodes_.forget();  // many may soak
  interrupt_.wait_ms(kSoakTurnMs);
  return later();
}

// --- the end ---

// All of the move's own objects on both nodes, then the copy that lost.
Mover::Outcome Mover::clear_up(Side loser, const char* dropped_point, const char* schema_point) {
  snapshot_holder_.reset();
  const Side winner = loser == Side::kSource ? Side::kTarget : Side::kSource;
  auto source = nodes_.connection(Side::kSource);
  if (!source) return outcome_of(source.error());
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  Connection& kept = winner == Side::kSource ? **source : **target;
  Connection& lost = loser == Side::kSource ? **source : **target;
  auto place = store_.node_of(row_.shard);
  if (!place) return outcome_of(place.error());
  if (*place != nodes_.node(winner).address.name) {
    row_.message = fmt::format("the map says that the shard is on node {}: nothing is dropped", *place);
    return later();
  }
  auto fence = kept.query("SELECT to_regprocedure($1) IS NOT NULL",
                          {fmt::format("{}.{}fence()", config_.catalog.schema, scripts_.prefix())});
  if (!fence) return outcome_of(fence.error());
  Status status;
  if (fence->text(0, 0) == "t") {  // an attempt that nobody has taken back may have closed it
    status = kept.execute(scripts_.reopen(row_.lease));
  }
  if (status && row_.state == MoveState::kAborting) status = store_.release(row_);
  if (status) status = drop_subscription(**target, scripts_, Way::kForward);
  if (status) status = drop_subscription(**source, scripts_, Way::kBack);
  if (status) status = drop_slot(**source, scripts_, Way::kForward);
  if (status) status = drop_slot(**target, scripts_, Way::kBack);
  if (status) status = pass_fault_point(dropped_point);
  if (status) status = drop_shard(lost, scripts_, schema(), config_.catalog.schema, row_.shard);
  if (status) status = pass_fault_point(schema_point);
  if (status) status = drop_objects(lost, scripts_, config_.catalog.schema);
  if (status) status = drop_objects(kept, scripts_, config_.catalog.schema);
  if (!status) return outcome_of(status.error());
  const bool is_rehearsed =
      row_.state == MoveState::kAborting && row_.options.is_rehearsal && row_.progress.write_pause_us > 0;
  return later(is_rehearsed ? MoveEvent::kRehearsed : MoveEvent::kDone);
}

}  // namespace mosaic::admin
