#pragma once
// What the log says while a stop waits for clients: how many are left, when that changes and every so often.
// Knows no clock and no log; the run command asks it several times a second.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace mosaic::admin {

class StopProgress {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kChangeInterval{1};   // between two lines about changes
  static constexpr std::chrono::seconds kRepeatInterval{10};  // between two lines that say the same

  // The line to log now, if any; `wait_for`: "their transactions" or "them to leave".
  std::optional<std::string> tell(size_t clients, const char* wait_for, Time now);

 private:
  std::optional<size_t> told_;
  Time told_at_;
};

}  // namespace mosaic::admin
