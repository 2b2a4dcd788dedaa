#include "admin/console/shard_heat.h"

#include <algorithm>

namespace mosaic::admin {

namespace {

constexpr int kSamplesPerWindow = 10;

void add(std::vector<uint64_t>& sum, const std::vector<uint64_t>& part) {
  if (sum.size() < part.size()) sum.resize(part.size());
  for (size_t i = 0; i < part.size(); ++i) sum[i] += part[i];
}

void subtract(std::vector<uint64_t>& from, const std::vector<uint64_t>& part) {
  for (size_t i = 0; i < std::min(from.size(), part.size()); ++i) from[i] -= std::min(from[i], part[i]);
}

}  // namespace

ShardTotals sum_shards(const proxy::Report& report) {
  ShardTotals sum;
  for (const proxy::WorkerReport& worker : report.workers) {
    add(sum.queries, worker.shard_queries);
    add(sum.us, worker.shard_us);
  }
  return sum;
}

void ShardHeat::sample(const ShardTotals& totals, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  for (size_t window = 0; window < kWindows.size(); ++window) {
    std::deque<Sample>& samples = samples_[window];
    if (!samples.empty() && now - samples.back().at < kWindows[window] / kSamplesPerWindow) continue;
    samples.push_back({now, totals});
    // The oldest but one still covers the window.
    while (samples.size() > 1 && now - samples[1].at >= kWindows[window]) samples.pop_front();
  }
}

ShardTotals ShardHeat::added(size_t window, const ShardTotals& totals, Clock::time_point now) const {
  ShardTotals added = totals;
  const std::lock_guard lock(mutex_);
  const Sample* base = nullptr;
  for (const Sample& sample : samples_[window]) {
    if (base == nullptr || now - sample.at >= kWindows[window]) base = &sample;
  }
  // Since start: nothing was counted before the first sample.
  if (base == nullptr || now - base->at < kWindows[window]) return added;
  subtract(added.queries, base->totals.queries);
  subtract(added.us, base->totals.us);
  return added;
}

}  // namespace mosaic::admin
