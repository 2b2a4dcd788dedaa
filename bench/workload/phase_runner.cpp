#include "bench/workload/phase_runner.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "bench/workload/client_loop.h"

namespace mosaic::workload {

namespace {

constexpr std::chrono::milliseconds kProgressInterval{200};

LatencyHistogram take_recent(std::vector<Statistics>& shares) {
  LatencyHistogram all;
  for (Statistics& share : shares) all.merge(share.recent_operations.take());
  return all;
}

StageProgress sum_up(const std::vector<Statistics>& shares, const Pacers& pacers) {
  StageProgress progress;
  for (const Statistics& share : shares) {
    progress.operations += share.operations;
    progress.statements += share.statements;
    progress.errors += share.errors;
    progress.lost += share.lost;
    progress.wrong_answers += share.wrong_answers;
  }
  for (const Pacer& pacer : pacers) {
    // In this order: what is due is counted first, so that the difference is never below zero.
    const uint64_t started = pacer.started();
    progress.due += pacer.due();
    progress.backlog += std::max(pacer.due(), started) - started;
  }
  return progress;
}

}  // namespace

void PhaseRunner::run(const Stage& stage, std::vector<std::unique_ptr<PhotoClient>>& clients,
                      Statistics& statistics, Pacers* pacers) {
  static const Pacers kNoPacers;
  assert(stage.is_paced == (pacers != nullptr) && (pacers == nullptr || pacers->size() == threads_));
  std::vector<std::vector<PhotoClient*>> shares(threads_);
  for (size_t i = 0; i < clients.size(); ++i) shares[i % threads_].push_back(clients[i].get());

  std::vector<Statistics> measured(threads_);
  std::mutex mutex;
  std::condition_variable changed;
  uint32_t running = threads_;
  std::vector<std::jthread> threads;
  const Nanoseconds begin = monotonic_now();
  for (uint32_t i = 0; i < threads_; ++i) {
    threads.emplace_back([&, i] {
      ClientLoop(shares[i], statement_timeout_)
          .run(stage, measured[i], pacers == nullptr ? nullptr : &(*pacers)[i]);
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_all();
    });
  }

  std::unique_lock lock(mutex);
  for (bool is_over = false; !is_over;) {
    is_over = changed.wait_for(lock, kProgressInterval, [&] { return running == 0; });
    StageProgress progress = sum_up(measured, pacers == nullptr ? kNoPacers : *pacers);
    progress.seconds = static_cast<double>(monotonic_now() - begin) / 1e9;
    progress.is_over = is_over;
    progress.take_recent = [&] { return take_recent(measured); };
    on_progress_(progress);
  }
  lock.unlock();
  threads.clear();
  for (const Statistics& share : measured) statistics.merge(share);
}

}  // namespace mosaic::workload
