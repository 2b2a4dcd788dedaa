#include "admin/console/traffic_averages.h"

#include <algorithm>

namespace mosaic::admin {

namespace {

using proxy::TrafficReport;

// Every counter of the report, so that nobody forgets one.
constexpr uint64_t TrafficReport::*kCounters[] = {
    &TrafficReport::assignments, &TrafficReport::transactions,  &TrafficReport::queries,    &TrafficReport::bytes_received,
    &TrafficReport::bytes_sent,  &TrafficReport::transaction_us, &TrafficReport::query_us,  &TrafficReport::wait_us,
    &TrafficReport::client_parses, &TrafficReport::server_parses, &TrafficReport::binds};

uint64_t divided(uint64_t amount, uint64_t count) { return count == 0 ? 0 : amount / count; }

TrafficReport averages_between(const TrafficReport& older, const TrafficReport& newer, std::chrono::microseconds time) {
  const uint64_t microseconds = std::max<int64_t>(time.count(), 1);
  TrafficReport done, average;
  for (const auto counter : kCounters) {
    done.*counter = newer.*counter - older.*counter;
    average.*counter = static_cast<uint64_t>(static_cast<double>(done.*counter) * 1e6 / static_cast<double>(microseconds));
  }
  average.transaction_us = divided(done.transaction_us, done.transactions);
  average.query_us = divided(done.query_us, done.queries);
  average.wait_us = divided(done.wait_us, done.assignments);
  return average;
}

}  // namespace

TrafficReport sum_traffic(const proxy::Report& report) {
  TrafficReport sum;
  for (const proxy::WorkerReport& worker : report.workers) {
    for (const TrafficReport& traffic : worker.traffic) {
      for (const auto counter : kCounters) sum.*counter += traffic.*counter;
    }
  }
  return sum;
}

TrafficReport TrafficAverages::averages(const TrafficReport& traffic, Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  if (has_period_) return period_averages_;
  return averages_between(at_begin_, traffic, std::chrono::duration_cast<std::chrono::microseconds>(now - period_began_));
}

void TrafficAverages::end_period(const TrafficReport& traffic, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  period_averages_ =
      averages_between(at_begin_, traffic, std::chrono::duration_cast<std::chrono::microseconds>(now - period_began_));
  has_period_ = true;
  at_begin_ = traffic;
  period_began_ = now;
}

}  // namespace mosaic::admin
