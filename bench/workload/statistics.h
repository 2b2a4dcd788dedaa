#pragma once
// Plain counters of one thread's clients in one phase: written by that thread, read by the progress line
// while it runs (the atomics), merged when it has stopped (the rest).

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "bench/workload/latency_histogram.h"
#include "bench/workload/shared_histogram.h"

namespace mosaic::workload {

enum class OperationKind : uint8_t {
  kSignUp,
  kReadProfile,
  kReadHome,
  kReadActivity,
  kReadFeed,
  kReadPhoto,
  kReadSetting,
  kUpload,
  kEditCaption,  // BEGIN, SELECT FOR UPDATE, two UPDATEs, COMMIT
  kAbandonEdit,  // the same with ROLLBACK
  kLike,
  kComment,
  kDeleteComment,
  kFollow,
  kWriteSetting,
};
inline constexpr size_t kOperationCount = static_cast<size_t>(OperationKind::kWriteSetting) + 1;
std::string_view to_text(OperationKind kind);

// One sort of failure: how often, and the first message in full.
struct Failure {
  uint64_t count = 0;
  std::string example;
};

struct Statistics {
  std::atomic<uint64_t> operations{0};     // completed without an error
  std::atomic<uint64_t> statements{0};     // completed round trips, errors included
  std::atomic<uint64_t> errors{0};         // statements answered with an error
  std::atomic<uint64_t> lost{0};           // connections that broke, or could not be made
  std::atomic<uint64_t> wrong_answers{0};  // replies that can not be true

  SharedHistogram recent_operations;   // latencies, until somebody takes them
  LatencyHistogram statement_latency;  // per statement, from send to the last byte
  std::array<LatencyHistogram, kOperationCount>
      operation_latency;                    // from when it was due to the end of its last statement
  std::map<std::string, Failure> failures;  // by SQLSTATE, "lost" or "wrong answer"

  void count_operation(OperationKind kind, uint64_t latency_ns);
  void count_failure(const std::string& sort, const std::string& example);
  void merge(const Statistics& other);
};

}  // namespace mosaic::workload
