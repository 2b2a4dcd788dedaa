#pragma once
// The switch itself: bounded attempts, each of which closes one side, waits until the other has the last
// change, opens that and changes the map; or takes it all back. Exactly one side is open at any moment that a
// client can see, whoever dies when.

#include <chrono>
#include <optional>
#include <string>

#include "admin/move/move_nodes.h"
#include "admin/move/move_scripts.h"
#include "admin/move/move_store.h"

namespace mosaic::admin {

class Cutover {
 public:
  // From `from` to the other side. Everything outlives it.
  Cutover(const Config& config, MoveStore& store, MoveNodes& nodes, const MoveScripts& scripts, MoveRow& row,
          Side from);

  enum class Result : uint8_t {
    kSwitched,
    kAgain,      // not this time; row.message says why
    kUnknown,    // whether the map was changed: both sides stay closed until it can be read
    kTakenOver,  // by another mover
    kChanged,    // the shard's definitions are others than those that were copied
    kRehearsed,
  };
  // `to_state`: of the row, together with the map.
  Result attempt(MoveState to_state);
  // Likewise, but for the map: the source is closed and opened again, and the target's opening rolled back.
  Result rehearse();
  // As if no attempt had been: the map says `from`.
  routing::Status take_back();

 private:
  using Clock = std::chrono::steady_clock;

  // What both have in common: all of the pause but its end. `last`: opens the target, or tries to.
  std::optional<Result> approach(routing::Status (Cutover::*last)());
  Result fail(const routing::Error& error);
  routing::Status connect();
  routing::Status look();
  routing::Status drain();
  bool is_late() const;
  routing::Status close_source();
  routing::Status wait_for_marker();
  routing::Status open_target();
  routing::Status try_target();
  void note_blockers();
  Side to() const { return from_ == Side::kSource ? Side::kTarget : Side::kSource; }
  const std::string& node_name(Side side) const { return nodes_.node(side).address.name; }

  const Config& config_;
  MoveStore& store_;
  MoveNodes& nodes_;
  const MoveScripts& scripts_;
  MoveRow& row_;
  const Side from_;
  const Way way_;
  Connection* source_ = nullptr;  // that is to be closed
  Connection* target_ = nullptr;
  Connection* probe_ = nullptr;  // to the source as well, to look while the other is amid a transaction
  std::string marker_, relations_, own_pid_, sequences_;
  bool is_changed_ = false;
  Clock::time_point began_, read_began_;
};

}  // namespace mosaic::admin
