#pragma once
// Which state a move is in, and what follows from what happens: a pure function, so that all of it can be run
// by a simulator. Knows no SQL and no clock.

#include <cstdint>
#include <optional>
#include <string_view>

namespace mosaic::admin {

enum class MoveState : uint8_t {
  kPlanned,
  kPreparing,   // schema, fences, publication, slot, subscription
  kCopying,     // rows, as of the slot's snapshot
  kIndexing,    // indexes, constraints, triggers, statistics
  kCatchingUp,  // the subscription runs
  kVerifying,   // both sides are compared
  kReady,       // the way back is made
  kCutover,     // attempts to fence the source and flip the map
  kSwitched,    // the map says the target: only forward from here
  kSoaking,     // the way back is kept up
  kUndoing,     // attempts to fence the target and flip the map back
  kUndone,      // the map says the source again; what was made is taken away
  kFinishing,   // the way back and the old copy are taken away
  kAborting,    // what was made is taken away
  kComplete,    // ended well
  kReturned,    // ended where it began, after UNDO
  kAborted,     // ended before the switch
  kRehearsed,   // ended as it was to: nothing was switched
};

enum class MoveEvent : uint8_t {
  kDone,       // the state's work
  kAgain,      // it did not work this time, nothing is lost
  kLost,       // what it relies on is gone (snapshot, slot): it is to be begun anew
  kFailed,     // it can not work
  kCancel,     // an operator's wish
  kUndo,       // likewise
  kFinish,     // likewise: no more soaking
  kRehearsed,  // the switch was rehearsed, and what was made for it is taken away
};

// The map says the target from here on (the row of the map is changed together with the state).
bool is_switched(MoveState state);
bool is_final(MoveState state);
// Nothing: this can not happen here (an operator is told so).
std::optional<MoveState> next(MoveState state, MoveEvent event);

std::string_view to_text(MoveState state);
std::optional<MoveState> parse_move_state(std::string_view text);

}  // namespace mosaic::admin
