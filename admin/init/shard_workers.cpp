#include "admin/init/shard_workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "admin/init/progress_line.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Status;

constexpr std::chrono::milliseconds kDrawInterval{200};

// What the workers share.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  Status result;       // guarded by mutex
  size_t running = 0;  // guarded by mutex
  std::atomic<bool> is_failed{false};
};

}  // namespace

void ShardWorkers::add_node(std::string name, ConnectionTarget target, std::vector<ShardJob> jobs) {
  if (!jobs.empty()) nodes_.push_back({std::move(name), std::move(target), std::move(jobs)});
}

Status ShardWorkers::run(unsigned connections_per_node) {
  uint64_t total = 0;
  for (const Node& node : nodes_) total += node.jobs.size();
  if (total == 0) return {};
  ProgressLine progress(stdout, total, "shards");
  Shared shared;
  std::vector<std::atomic<size_t>> next(nodes_.size());

  const auto fail = [&shared](Error error, const std::string& where) {
    error.message = where + ": " + error.message;
    const std::lock_guard lock(shared.mutex);
    if (!shared.is_failed.exchange(true)) shared.result = std::move(error);
  };
  const auto work = [&](size_t index) {
    const Node& node = nodes_[index];
    auto connection = Connection::open(node.target, {.connect = kConnectLimit});
    if (!connection) fail(connection.error(), "node " + node.name);
    for (size_t job = next[index]++; connection && job < node.jobs.size() && !shared.is_failed;
         job = next[index]++) {
      const Status status = connection->execute(node.jobs[job].script());
      if (!status) {
        fail(status.error(), fmt::format("shard {} on node {}", node.jobs[job].shard.value, node.name));
        break;
      }
      ++progress.done();
    }
    const std::lock_guard lock(shared.mutex);
    --shared.running;
    shared.changed.notify_one();
  };

  std::vector<std::thread> threads;
  for (size_t index = 0; index < nodes_.size(); ++index) {
    const size_t count = std::min<size_t>(connections_per_node, nodes_[index].jobs.size());
    for (size_t i = 0; i < count; ++i) {
      const std::lock_guard lock(shared.mutex);
      ++shared.running;
      threads.emplace_back(work, index);
    }
  }
  {
    std::unique_lock lock(shared.mutex);
    while (!shared.changed.wait_for(lock, kDrawInterval, [&] { return shared.running == 0; }))
      progress.draw();
  }
  for (std::thread& thread : threads) thread.join();
  progress.finish();
  return shared.result;
}

}  // namespace mosaic::admin
