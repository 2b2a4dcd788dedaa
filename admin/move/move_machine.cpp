#include "admin/move/move_machine.h"

#include <array>

namespace mosaic::admin {

namespace {

constexpr std::array<std::string_view, 18> kNames = {
    "planned",   "preparing", "copying",  "indexing", "catching_up", "verifying",
    "ready",     "cutover",   "switched", "soaking",  "undoing",     "undone",
    "finishing", "aborting",  "complete", "returned", "aborted",     "rehearsed"};

// What follows when a state's work is done.
MoveState after(MoveState state) {
  switch (state) {
    case MoveState::kPlanned:
      return MoveState::kPreparing;
    case MoveState::kPreparing:
      return MoveState::kCopying;
    case MoveState::kCopying:
      return MoveState::kIndexing;
    case MoveState::kIndexing:
      return MoveState::kCatchingUp;
    case MoveState::kCatchingUp:
      return MoveState::kVerifying;
    case MoveState::kVerifying:
      return MoveState::kReady;
    case MoveState::kReady:
      return MoveState::kCutover;
    case MoveState::kCutover:
      return MoveState::kSwitched;
    case MoveState::kSwitched:
      return MoveState::kSoaking;
    case MoveState::kSoaking:
      return MoveState::kFinishing;
    case MoveState::kUndoing:
      return MoveState::kUndone;
    case MoveState::kUndone:
      return MoveState::kReturned;
    case MoveState::kFinishing:
      return MoveState::kComplete;
    case MoveState::kAborting:
      return MoveState::kAborted;
    case MoveState::kComplete:
    case MoveState::kReturned:
    case MoveState::kAborted:
    case MoveState::kRehearsed:
      break;
  }
  return state;
}

bool is_before_switch(MoveState state) { return state <= MoveState::kCutover; }

}  // namespace

bool is_final(MoveState state) {
  return state == MoveState::kComplete || state == MoveState::kReturned || state == MoveState::kAborted ||
         state == MoveState::kRehearsed;
}

bool is_switched(MoveState state) {
  return state == MoveState::kSwitched || state == MoveState::kSoaking || state == MoveState::kUndoing ||
         state == MoveState::kFinishing || state == MoveState::kComplete;
}

std::optional<MoveState> next(MoveState state, MoveEvent event) {
  if (is_final(state)) return std::nullopt;
  switch (event) {
    case MoveEvent::kDone:
      return after(state);
    case MoveEvent::kAgain:
      return state;
    case MoveEvent::kLost:
      // The rows are copied anew; behind the switch there is nothing to begin anew.
      if (state > MoveState::kPreparing && state <= MoveState::kCutover) return MoveState::kPreparing;
      return std::nullopt;
    case MoveEvent::kFailed:
      if (is_before_switch(state)) return MoveState::kAborting;
      if (state == MoveState::kUndoing) return MoveState::kSoaking;
      return state;  // it is tried until it works: there is no way back
    case MoveEvent::kCancel:
      if (is_before_switch(state)) return MoveState::kAborting;
      if (state == MoveState::kUndoing) return MoveState::kSoaking;
      return std::nullopt;
    case MoveEvent::kUndo:
      return state == MoveState::kSoaking ? std::optional(MoveState::kUndoing) : std::nullopt;
    case MoveEvent::kFinish:
      return state == MoveState::kSoaking ? std::optional(MoveState::kFinishing) : std::nullopt;
    case MoveEvent::kRehearsed:
      if (state == MoveState::kCutover) return MoveState::kAborting;
      return state == MoveState::kAborting ? std::optional(MoveState::kRehearsed) : std::nullopt;
  }
  return std::nullopt;
}

std::string_view to_text(MoveState state) { return kNames[static_cast<size_t>(state)]; }

std::optional<MoveState> parse_move_state(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<MoveState>(i);
  }
  return std::nullopt;
}

}  // namespace mosaic::admin
