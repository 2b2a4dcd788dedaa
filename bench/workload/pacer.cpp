#include "bench/workload/pacer.h"

#include <algorithm>
#include <cassert>

namespace mosaic::workload {

Nanoseconds Pacer::take(Nanoseconds now) {
  const Nanoseconds due = to_start_.next();
  assert(due <= now && due < end_);
  start_delay_.record(now - due);
  to_start_.advance();
  started_.fetch_add(1, std::memory_order_relaxed);
  return due;
}

void Pacer::observe(Nanoseconds now) {
  uint64_t due = this->due();
  for (; to_come_.next() <= now && to_come_.next() < end_; to_come_.advance()) ++due;
  due_.store(due, std::memory_order_relaxed);
  if (due > started() + backlog_max()) backlog_max_.store(due - started(), std::memory_order_relaxed);
}

void Pacer::finish() {
  observe(end_);
  for (; to_start_.next() < end_; to_start_.advance()) unserved_wait_.record(end_ - to_start_.next());
}

}  // namespace mosaic::workload
