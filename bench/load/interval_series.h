#pragma once
// A run as a time series: one row for each interval, made from the cumulative counters that PhaseRunner
// tells. Called by photo_load's progress; knows nothing of threads.

#include <cstdint>
#include <vector>

#include "bench/workload/phase_runner.h"

namespace mosaic::workload {

struct Interval {
  double begin_s = 0, seconds = 0;
  uint64_t due = 0;        // operations that should have begun in it
  uint64_t completed = 0;  // operations that ended in it
  uint64_t errors = 0, lost = 0, wrong_answers = 0;
  uint64_t backlog = 0;  // at its end
  uint64_t p50_ns = 0, p99_ns = 0, max_ns = 0;
};

class IntervalSeries {
 public:
  // `interval_s`: the least length of a row.
  explicit IntervalSeries(double interval_s) : interval_s_(interval_s) {}

  // Adds a row when the interval (or the stage) is over; returns whether it did.
  bool add(const StageProgress& progress);
  const std::vector<Interval>& rows() const { return rows_; }
  // Of the operations that ended in the last row.
  const LatencyHistogram& last_latency() const { return last_latency_; }

 private:
  double interval_s_;
  StageProgress last_;
  std::vector<Interval> rows_;
  LatencyHistogram last_latency_;
};

}  // namespace mosaic::workload
