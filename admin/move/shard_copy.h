#pragma once
// Copies a shard's rows as they were at a snapshot, over several connections, large tables in ranges of
// pages. Blocking; the counters may be read meanwhile.

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "admin/move/move_nodes.h"
#include "admin/move/move_scripts.h"

namespace mosaic::admin {

class ShardCopy {
 public:
  // `snapshot`: exported on the source, and kept until run() has returned.
  ShardCopy(const MoveNodes& nodes, const MoveScripts& scripts, const MoveRow& row, std::string snapshot);

  // Errors: the first of any connection; the others stop then.
  routing::Status run();
  uint64_t rows() const { return rows_.load(); }
  uint64_t bytes() const { return bytes_.load(); }
  void set_paused(bool is_paused) { is_paused_.store(is_paused); }

 private:
  struct Part {
    const MoveTable* table = nullptr;
    uint64_t first_page = 0, end_page = 0;  // both 0: all of it
  };
  static constexpr uint64_t kPagesPerPart = 8192;  // 64 MiB

  void work();
  routing::Status copy_parts();
  routing::Status copy(Connection& source, Connection& target, const Part& part);
  void on_copied(uint64_t rows, uint64_t bytes);
  const Part* next_part();

  const MoveNodes& nodes_;
  const MoveScripts& scripts_;
  const MoveRow& row_;
  const std::string snapshot_;
  std::vector<Part> parts_;
  std::atomic<size_t> next_{0};
  std::atomic<uint64_t> rows_{0}, bytes_{0};
  std::atomic<bool> is_paused_{false}, has_failed_{false};
  std::mutex mutex_;
  routing::Status status_;  // guarded by mutex_
  std::chrono::steady_clock::time_point began_;
};

}  // namespace mosaic::admin
