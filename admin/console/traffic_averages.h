#pragma once
// The avg_ columns of SHOW STATS: what was done per second in the last full stats_period, as in PgBouncer; before
// the first period is over, since start.

#include <chrono>
#include <mutex>

#include "proxy/report.h"

namespace mosaic::admin {

// All nodes and workers together.
proxy::TrafficReport sum_traffic(const proxy::Report& report);

class TrafficAverages {
 public:
  using Clock = std::chrono::steady_clock;

  // Per second; *_us are per transaction, per query and per assignment. `traffic` is what was counted until `now`.
  proxy::TrafficReport averages(const proxy::TrafficReport& traffic, Clock::time_point now) const;
  // Called once a period.
  void end_period(const proxy::TrafficReport& traffic, Clock::time_point now);
  explicit TrafficAverages(Clock::time_point started) : period_began_(started) {}

 private:
  mutable std::mutex mutex_;
  // The last full period, once there is one; guarded by mutex_.
  bool has_period_ = false;
  proxy::TrafficReport period_averages_;
  proxy::TrafficReport at_begin_;  // of the running period
  Clock::time_point period_began_;
};

}  // namespace mosaic::admin
