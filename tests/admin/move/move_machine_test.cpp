#include "admin/move/move_machine.h"

#include <gtest/gtest.h>

namespace mosaic::admin {
namespace {

using State = MoveState;
using Event = MoveEvent;

constexpr uint8_t kStates = static_cast<uint8_t>(State::kRehearsed) + 1;
constexpr uint8_t kEvents = static_cast<uint8_t>(Event::kRehearsed) + 1;

TEST(MoveMachine, goes_from_planned_to_complete_when_all_is_done) {
  State state = State::kPlanned;
  std::string way;
  while (!is_final(state)) {
    way += std::string(to_text(state)) + " ";
    state = *next(state, Event::kDone);
  }
  EXPECT_EQ(
      way,
      "planned preparing copying indexing catching_up verifying ready cutover switched soaking finishing ");
  EXPECT_EQ(state, State::kComplete);
}

TEST(MoveMachine, goes_back_from_a_rehearsal) {
  EXPECT_EQ(next(State::kCutover, Event::kRehearsed), State::kAborting);
  EXPECT_EQ(next(State::kAborting, Event::kRehearsed), State::kRehearsed);
  EXPECT_TRUE(is_final(State::kRehearsed));
  EXPECT_FALSE(is_switched(State::kRehearsed));
  for (uint8_t i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    if (state == State::kCutover || state == State::kAborting) continue;
    EXPECT_FALSE(next(state, Event::kRehearsed)) << to_text(state);
  }
}

TEST(MoveMachine, names_every_state_once) {
  for (uint8_t i = 0; i < kStates; ++i)
    EXPECT_EQ(parse_move_state(to_text(static_cast<State>(i))), static_cast<State>(i));
  EXPECT_FALSE(parse_move_state("elsewhere"));
}

TEST(MoveMachine, can_be_cancelled_before_the_switch_only) {
  for (uint8_t i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    const auto following = next(state, Event::kCancel);
    if (state <= State::kCutover) {
      EXPECT_EQ(following, State::kAborting) << to_text(state);
    } else if (state == State::kUndoing) {
      EXPECT_EQ(following, State::kSoaking);
    } else {
      EXPECT_FALSE(following) << to_text(state);
    }
  }
}

// Only the flip changes where the shard is, and that is a kDone of the two states that attempt it.
TEST(MoveMachine, changes_sides_by_a_flip_only) {
  for (uint8_t i = 0; i < kStates; ++i) {
    for (uint8_t e = 0; e < kEvents; ++e) {
      const auto state = static_cast<State>(i);
      const auto event = static_cast<Event>(e);
      const auto following = next(state, event);
      if (!following || is_switched(state) == is_switched(*following)) continue;
      EXPECT_EQ(event, Event::kDone) << to_text(state);
      EXPECT_TRUE(state == State::kCutover || state == State::kUndoing) << to_text(state);
    }
  }
}

TEST(MoveMachine, stays_where_it_has_ended) {
  for (const State state : {State::kComplete, State::kReturned, State::kAborted}) {
    EXPECT_TRUE(is_final(state));
    for (uint8_t e = 0; e < kEvents; ++e) EXPECT_FALSE(next(state, static_cast<Event>(e)));
  }
}

// Whatever happens, the end can be reached: nothing keeps a move from its next state but its own work.
TEST(MoveMachine, has_a_way_on_from_everywhere) {
  for (uint8_t i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    if (is_final(state)) continue;
    EXPECT_NE(next(state, Event::kDone), state) << to_text(state);
    EXPECT_EQ(next(state, Event::kAgain), state);
  }
}

}  // namespace
}  // namespace mosaic::admin
