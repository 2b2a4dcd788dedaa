#pragma once
// One thread's share of an open loop: which operation is due next, whether the clients keep up, and what
// became of those that never began. Holds no queue: what is due and not begun lies between two cursors over
// the same arrivals, so a target that falls behind costs no memory.

#include <atomic>
#include <cstdint>
#include <limits>

#include "bench/workload/arrivals.h"
#include "bench/workload/latency_histogram.h"

namespace mosaic::workload {

class Pacer {
 public:
  static constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

  // Nothing is due from `end` on.
  Pacer(const Arrivals& arrivals, Nanoseconds end) : to_start_(arrivals), to_come_(arrivals), end_(end) {}
  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  // When the first operation that has not begun is (or was) due; kNever at the end.
  Nanoseconds next_due() const { return to_start_.next() < end_ ? to_start_.next() : kNever; }
  // Begins it; returns when it was due. next_due() <= now must hold.
  Nanoseconds take(Nanoseconds now);
  // Brings due() up to date.
  void observe(Nanoseconds now);
  // No client will begin anything any more: what was due and did not begin has waited until `end` at least.
  void finish();

  // From any thread.
  uint64_t due() const { return due_.load(std::memory_order_relaxed); }
  uint64_t started() const { return started_.load(std::memory_order_relaxed); }
  uint64_t backlog_max() const { return backlog_max_.load(std::memory_order_relaxed); }

  // After the end.
  const LatencyHistogram& start_delay() const { return start_delay_; }
  const LatencyHistogram& unserved_wait() const { return unserved_wait_; }

 private:
  Arrivals to_start_;
  Arrivals to_come_;
  Nanoseconds end_;
  std::atomic<uint64_t> due_{0};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> backlog_max_{0};
  LatencyHistogram start_delay_;    // from due to begun, of what began
  LatencyHistogram unserved_wait_;  // from due to the end, of what did not
};

}  // namespace mosaic::workload
