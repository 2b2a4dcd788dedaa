#include "bench/load/interval_series.h"

namespace mosaic::workload {

bool IntervalSeries::add(const StageProgress& progress) {
  const double seconds = progress.seconds - last_.seconds;
  if (seconds < interval_s_ && !progress.is_over) return false;
  last_latency_ = progress.take_recent();
  Interval row;
  row.begin_s = last_.seconds;
  row.seconds = seconds;
  row.due = progress.due - last_.due;
  row.completed = last_latency_.count();
  row.errors = progress.errors - last_.errors;
  row.lost = progress.lost - last_.lost;
  row.wrong_answers = progress.wrong_answers - last_.wrong_answers;
  row.backlog = progress.backlog;
  row.p50_ns = last_latency_.percentile_ns(50);
  row.p99_ns = last_latency_.percentile_ns(99);
  row.max_ns = last_latency_.max_ns();
  rows_.push_back(row);
  last_ = progress;
  last_.take_recent = nullptr;
  return true;
}

}  // namespace mosaic::workload
