#include "admin/move/fault_points.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Status;

enum class Action : uint8_t { kKill, kStop, kDrop, kDelay, kSkip };

struct Faults {
  std::mutex mutex;
  std::map<std::string, Action> actions;  // those that have not acted yet
  std::string mistake;
};

std::string read_variable(std::map<std::string, Action>& actions) {
  const char* variable = getenv("MOSAIC_FAULT");
  if (variable == nullptr) return "";
  const std::map<std::string, Action> known = {{"skip", Action::kSkip},
                                               {"kill", Action::kKill},
                                               {"stop", Action::kStop},
                                               {"drop", Action::kDrop},
                                               {"delay", Action::kDelay}};
  std::string rest(variable);
  while (!rest.empty()) {
    const std::string entry = rest.substr(0, rest.find(','));
    rest = entry.size() == rest.size() ? "" : rest.substr(entry.size() + 1);
    const size_t colon = entry.find(':');
    const auto action = colon == std::string::npos ? known.end() : known.find(entry.substr(colon + 1));
    const std::string point = entry.substr(0, colon);
    const auto& names = fault_point_names();
    if (action == known.end() || std::find(names.begin(), names.end(), point) == names.end()) return entry;
    actions[point] = action->second;
  }
  return "";
}

Faults& faults() {
  static Faults all;
  static std::once_flag once;
  std::call_once(once, [] { all.mistake = read_variable(all.actions); });
  return all;
}

}  // namespace

const std::vector<std::string>& fault_point_names() {
  static const std::vector<std::string> names = {
      "prepare.guarded",  "prepare.dumped",     "prepare.target",   "prepare.source",  "prepare.published",
      "prepare.slot",     "prepare.subscribed", "copy.begun",       "copy.table",      "copy.done",
      "index.done",       "catch_up.enabled",   "catch_up.marker",  "verify.done",     "ready.slot",
      "ready.subscribed", "cutover.hold",       "cutover.held",     "cutover.drained", "cutover.fence",
      "cutover.closed",   "cutover.marker",     "cutover.opened",   "cutover.flipped", "cutover.undone",
      "switched.closed",  "switched.opened",    "switched.dropped", "switched.back",   "soak.begun",
      "finish.dropped",   "finish.schema",      "abort.dropped",    "abort.schema"};
  return names;
}

Status check_fault_points() {
  const Faults& all = faults();
  if (all.mistake.empty()) return {};
  return Error{routing::sqlstate::kConfigError, "MOSAIC_FAULT is not point:action[,point:action]",
               all.mistake,
               fmt::format("actions are skip, kill, stop, drop and delay; points are {}",
                           fmt::join(fault_point_names(), ", "))};
}

bool skips_step(const char* point) {
  Faults& all = faults();
  const std::lock_guard lock(all.mutex);
  const auto found = all.actions.find(point);
  return found != all.actions.end() && found->second == Action::kSkip;
}

Status pass_fault_point(const char* point) {
  Faults& all = faults();
  Action action{};
  {
    const std::lock_guard lock(all.mutex);
    const auto found = all.actions.find(point);
    if (found == all.actions.end() || found->second == Action::kSkip) return {};
    action = found->second;
    all.actions.erase(found);
  }
  switch (action) {
    case Action::kKill:
      kill(getpid(), SIGKILL);
      break;
    case Action::kStop:
      kill(getpid(), SIGSTOP);
      break;
    case Action::kDelay:
      std::this_thread::sleep_for(std::chrono::seconds(1));
      break;
    case Action::kSkip:
      break;
    case Action::kDrop:
      return Error{routing::sqlstate::kConnectionFailure, fmt::format("MOSAIC_FAULT: dropped at {}", point),
                   "", ""};
  }
  return {};
}

}  // namespace mosaic::admin
