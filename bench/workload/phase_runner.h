#pragma once
// Runs one stage of the workload: distributes the clients over threads, each with its own epoll loop, until
// every client is finished. Calls PhotoClient and nothing else; knows nothing of statements.

#include <functional>
#include <memory>
#include <vector>

#include "bench/workload/photo_client.h"

namespace mosaic::workload {

Nanoseconds monotonic_now();

// What a running stage looks like from outside.
struct StageProgress {
  double seconds = 0;
  uint64_t statements = 0;
  uint64_t errors = 0;
  uint64_t lost = 0;
  uint64_t wrong_answers = 0;
};

class PhaseRunner {
 public:
  using OnProgress = std::function<void(const StageProgress&)>;

  // `statement_timeout`: an answer that takes longer counts as a lost connection. `on_progress` is called
  // from the calling thread about five times a second.
  PhaseRunner(uint32_t threads, Nanoseconds statement_timeout, OnProgress on_progress)
      : threads_(threads), statement_timeout_(statement_timeout), on_progress_(std::move(on_progress)) {}

  // Blocks until all clients have finished the stage; adds what they measured to `statistics`.
  void run(const Stage& stage, std::vector<std::unique_ptr<PhotoClient>>& clients, Statistics& statistics);

 private:
  uint32_t threads_;
  Nanoseconds statement_timeout_;
  OnProgress on_progress_;
};

}  // namespace mosaic::workload
