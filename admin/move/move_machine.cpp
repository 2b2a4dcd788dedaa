#include "admin/move/move_machine.h"

#include <array>

namespace mosaic::admin {

namespace {

using State = MoveState;
using Event = MoveEvent;

constexpr std::array<std::string_view, 17> kNames = {
    "planned",   "preparing", "copying",  "indexing", "catching_up", "verifying",
    "ready",     "cutover",   "switched", "soaking",  "undoing",     "undone",
    "finishing", "aborting",  "complete", "returned", "aborted"};

// What follows when a state's work is done.
State after(State state) {
  switch (state) {
    case State::kPlanned:
      return State::kPreparing;
    case State::kPreparing:
      return State::kCopying;
    case State::kCopying:
      return State::kIndexing;
    case State::kIndexing:
      return State::kCatchingUp;
    case State::kCatchingUp:
      return State::kVerifying;
    case State::kVerifying:
      return State::kReady;
    case State::kReady:
      return State::kCutover;
    case State::kCutover:
      return State::kSwitched;
    case State::kSwitched:
      return State::kSoaking;
    case State::kSoaking:
      return State::kFinishing;
    case State::kUndoing:
      return State::kUndone;
    case State::kUndone:
      return State::kReturned;
    case State::kFinishing:
      return State::kComplete;
    case State::kAborting:
      return State::kAborted;
    case State::kComplete:
    case State::kReturned:
    case State::kAborted:
      break;
  }
  return state;
}

bool is_before_switch(State state) { return state <= State::kCutover; }

}  // namespace

bool is_final(State state) {
  return state == State::kComplete || state == State::kReturned || state == State::kAborted;
}

bool is_switched(State state) {
  return state == State::kSwitched || state == State::kSoaking || state == State::kUndoing ||
         state == State::kFinishing || state == State::kComplete;
}

std::optional<State> next(State state, Event event) {
  if (is_final(state)) return std::nullopt;
  switch (event) {
    case Event::kDone:
      return after(state);
    case Event::kAgain:
      return state;
    case Event::kLost:
      // The rows are copied anew; behind the switch there is nothing to begin anew.
      if (state > State::kPreparing && state <= State::kCutover) return State::kPreparing;
      return std::nullopt;
    case Event::kFailed:
      if (is_before_switch(state)) return State::kAborting;
      if (state == State::kUndoing) return State::kSoaking;
      return state;  // it is tried until it works: there is no way back
    case Event::kCancel:
      if (is_before_switch(state)) return State::kAborting;
      if (state == State::kUndoing) return State::kSoaking;
      return std::nullopt;
    case Event::kUndo:
      return state == State::kSoaking ? std::optional(State::kUndoing) : std::nullopt;
    case Event::kFinish:
      return state == State::kSoaking ? std::optional(State::kFinishing) : std::nullopt;
    case Event::kBackImpossible:
      return state == State::kSoaking || state == State::kUndoing ? std::optional(State::kSoaking)
                                                                  : std::nullopt;
  }
  return std::nullopt;
}

std::string_view to_text(State state) { return kNames[static_cast<size_t>(state)]; }

std::optional<State> parse_move_state(std::string_view text) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<State>(i);
  }
  return std::nullopt;
}

}  // namespace mosaic::admin
