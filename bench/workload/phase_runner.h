#pragma once
// Runs one stage of the workload: distributes the clients over threads, each with its own ClientLoop, until
// every client is finished, and tells how it goes. Knows nothing of statements.

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "bench/workload/pacer.h"
#include "bench/workload/photo_client.h"

namespace mosaic::workload {

// What a running stage looks like from outside.
struct StageProgress {
  double seconds = 0;
  bool is_over = false;  // the last call of the stage
  uint64_t operations = 0;
  uint64_t statements = 0;
  uint64_t errors = 0;
  uint64_t lost = 0;
  uint64_t wrong_answers = 0;
  uint64_t due = 0;      // paced stages: operations that should have begun
  uint64_t backlog = 0;  // ... of which so many wait for a free client
  // Latencies of the operations that ended since it was called last.
  std::function<LatencyHistogram()> take_recent;
};

// One per thread; they hold atomics, and so stay where they are.
using Pacers = std::deque<Pacer>;

class PhaseRunner {
 public:
  using OnProgress = std::function<void(const StageProgress&)>;

  // `statement_timeout`: an answer that takes longer counts as a lost connection. `on_progress` is called
  // from the calling thread about five times a second.
  PhaseRunner(uint32_t threads, Nanoseconds statement_timeout, OnProgress on_progress)
      : threads_(threads), statement_timeout_(statement_timeout), on_progress_(std::move(on_progress)) {}

  // Blocks until all clients have finished the stage; adds what they measured to `statistics`. `pacers`: of a
  // paced stage, one per thread; else null.
  void run(const Stage& stage, std::vector<std::unique_ptr<PhotoClient>>& clients, Statistics& statistics,
           Pacers* pacers = nullptr);

 private:
  uint32_t threads_;
  Nanoseconds statement_timeout_;
  OnProgress on_progress_;
};

}  // namespace mosaic::workload
