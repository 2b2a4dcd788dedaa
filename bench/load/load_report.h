#pragma once
// The figures of an open-loop run, the verdict whether the target kept up, and their two forms: lines for
// people, JSON for programs.

#include <string>
#include <vector>

#include "bench/load/interval_series.h"
#include "bench/load/load_options.h"
#include "bench/workload/statistics.h"

namespace mosaic::workload {

struct LoadFigures {
  double seconds = 0;            // that were counted
  uint64_t due = 0;              // operations that should have begun in them
  uint64_t backlog_max = 0;      // that waited for a free client at once, at most
  LatencyHistogram start_delay;  // from due to begun
  // From due to the end of the run, of operations that never began: the least that they would have taken.
  LatencyHistogram unserved_wait;
  Statistics statistics;
  std::vector<Interval> intervals;

  uint64_t unserved() const { return unserved_wait.count(); }
  double offered_rate() const { return static_cast<double>(due) / seconds; }
  double achieved_rate() const { return static_cast<double>(statistics.operations) / seconds; }
  // All operations that were due: those that never began stand in it with their wait so far.
  LatencyHistogram latency() const;
};

// A target keeps up when at the end no more operations wait than clients could hold, or a hundredth of all.
bool has_kept_up(const LoadOptions& options, const LoadFigures& figures);

std::string to_text(const LoadOptions& options, const LoadFigures& figures);
std::string to_json(const LoadOptions& options, const LoadFigures& figures);
// A row of the time series on its own, as one line: with `end_s`, when it ended by CLOCK_MONOTONIC, and the
// filled buckets of its latencies, so that rows can be put together.
std::string to_json_line(const Interval& interval, const LatencyHistogram& latency, double end_s);
// Errors, lost connections and wrong answers, one line per sort.
std::vector<std::string> find_failures(const LoadFigures& figures);

}  // namespace mosaic::workload
