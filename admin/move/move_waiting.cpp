// WAIT MOVE and WAIT MOVES: what happens is told until it has ended.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "admin/move/move_service.h"
#include "admin/move/move_texts.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Status;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kWaitTurnMs = 200;
constexpr std::chrono::seconds kLineEvery{1};  // of many moves

// Nothing more happens to it by itself, but for the end of its soaking.
bool is_through(const MoveRow& row) {
  return is_final(row.state) ||
         (row.state == MoveState::kSoaking && row.wish.empty() && row.options.soak_ms > 0);
}

// "12 of 340 moves are through, copying 2, planned 326; 4 min left".
std::string progress_of_all(const std::vector<MoveRow>& rows, size_t at_begin, Clock::duration since) {
  std::map<MoveState, size_t> others;
  size_t through = 0;
  for (const MoveRow& row : rows) {
    if (is_through(row)) {
      ++through;
    } else {
      ++others[row.state];
    }
  }
  std::string line = fmt::format("{} of {} moves are through", through, rows.size());
  for (auto at = others.rbegin(); at != others.rend(); ++at)
    line += fmt::format(", {} {}", to_text(at->first), at->second);
  if (through > at_begin && through < rows.size()) {
    const double per_move =
        std::chrono::duration<double>(since).count() / static_cast<double>(through - at_begin);
    line += fmt::format(
        "; {} left",
        duration_text(static_cast<uint64_t>(per_move * static_cast<double>(rows.size() - through))));
  }
  return line;
}

}  // namespace

Status MoveService::wait(const MoveCommand& command, const Say& say, const StopSignal& stop) {
  if (command.moves.size() == 1) return wait_for_one(command.moves.front(), say, stop);
  auto store = MoveStore::open(*config_(), &stop);
  if (!store) return store.error();
  std::vector<uint64_t> moves = command.moves;
  if (moves.empty()) {
    auto open = store->list(true);
    if (!open) return open.error();
    for (const MoveRow& row : *open) moves.push_back(row.id);
    if (moves.empty()) say("no move is under way");
  }
  std::sort(moves.begin(), moves.end());
  const auto began = Clock::now();
  std::string told;
  auto told_at = Clock::time_point{};
  std::optional<size_t> at_begin;
  while (!moves.empty()) {
    auto rows = store->list(false);
    if (!rows) return rows.error();
    std::erase_if(
        *rows, [&](const MoveRow& row) { return !std::binary_search(moves.begin(), moves.end(), row.id); });
    if (rows->size() < moves.size())
      return Error{routing::sqlstate::kUndefinedObject,
                   fmt::format("there are only {} of these {} moves", rows->size(), moves.size()), "",
                   "SHOW MOVES lists them"};
    const bool is_over = std::all_of(rows->begin(), rows->end(), is_through);
    if (!at_begin) at_begin = static_cast<size_t>(std::count_if(rows->begin(), rows->end(), is_through));
    if (is_over || Clock::now() - told_at >= kLineEvery) {
      if (std::string line = progress_of_all(*rows, *at_begin, Clock::now() - began); line != told) {
        say(line);
        told = std::move(line);
        told_at = Clock::now();
      }
    }
    if (is_over) {
      std::erase_if(*rows, [](const MoveRow& row) { return row.state != MoveState::kAborted; });
      if (rows->empty()) return {};
      std::vector<std::string> lines;
      for (const MoveRow& row : *rows) lines.push_back(progress_line(row));
      say_some(lines, say);
      return Error{routing::sqlstate::kQueryCanceled, fmt::format("{} moves were given up", rows->size()), "",
                   "the notices, and SHOW MOVES WHERE state = aborted, say why"};
    }
    if (stop.wait_ms(kWaitTurnMs)) return {};
  }
  return {};
}

Status MoveService::wait_for_one(uint64_t move, const Say& say, const StopSignal& stop) {
  auto store = MoveStore::open(*config_(), &stop);
  if (!store) return store.error();
  std::string told;
  while (true) {
    auto row = store->find(move);
    if (!row) return row.error();
    if (std::string line = progress_line(*row); line != told) {
      say(line);
      told = std::move(line);
    }
    if (row->state == MoveState::kAborted)
      return Error{routing::sqlstate::kQueryCanceled, fmt::format("move {} was given up", row->id),
                   row->message, ""};
    if (is_through(*row)) return {};
    if (stop.wait_ms(kWaitTurnMs)) return {};
  }
}

}  // namespace mosaic::admin
