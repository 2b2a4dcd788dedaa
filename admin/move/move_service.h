#pragma once
// Moves of shards as this process sees to them: looks for moves that nobody works on, runs some, and does
// what operators say. Owns its threads; its commands may come from any.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "admin/config/config.h"
#include "admin/event_log.h"
#include "admin/move/move_command.h"
#include "admin/move/mover.h"
#include "admin/move/preflight.h"
#include "admin/node_change.h"
#include "proxy/moving_counts.h"

namespace mosaic::admin {

class MoveService {
 public:
  using ReadConfig = std::function<std::shared_ptr<const Config>()>;
  using ReadCounts = std::function<proxy::MovingCountsByShard()>;  // of this process, since start
  using ExpectShard = std::function<void(routing::ShardId, const std::string& node)>;  // see Proxy

  // Takes commands only; proxies carry them out.
  explicit MoveService(ReadConfig config);
  // Works on moves as well. `events` may be null.
  MoveService(ReadConfig config, std::string proxy, pool::EventSink* events, ReadCounts counts,
              ExpectShard expect);
  ~MoveService();
  void stop();  // others, or the next start, go on
  MoveService(const MoveService&) = delete;
  MoveService& operator=(const MoveService&) = delete;

  // Says what it did, and for WAIT what happens.
  // `begun`: gets the numbers of moves that it begins; may be null.
  routing::Status run(const MoveCommand& command, const Say& say, const StopSignal& stop,
                      std::vector<uint64_t>* begun = nullptr);
  // For views; the newest last. Errors: the catalog can not be asked.
  routing::Result<std::vector<MoveRow>> list(bool only_open) const;

 private:
  struct Running {
    std::unique_ptr<Mover> mover;
    std::thread thread;
    std::atomic<bool> is_done{false};
  };
  struct Told {
    routing::ShardId shard;
    proxy::MovingCounts before, added;
  };

  void watch();
  void take(MoveStore& store, const std::vector<MoveRow>& rows, const MoveRow& row);
  static int64_t most_of_a_node(const std::vector<MoveRow>& rows, const MoveRow& row);
  int64_t soaking(const std::vector<MoveRow>& rows) const;  // of this process
  void forget_done();
  bool prepare_arrivals(const std::vector<MoveRow>& open) const;
  void tell_counts(MoveStore& store, const std::vector<MoveRow>& open);
  routing::Status begin(const std::vector<std::pair<routing::ShardId, std::string>>& moves,
                        const MoveOptions& options, const Say& say, std::vector<uint64_t>* begun);
  routing::Status begin_all(const MoveCommand& command, const Say& say, std::vector<uint64_t>* begun);
  routing::Status spread(const MoveCommand& command, const Say& say, const StopSignal& stop,
                         std::vector<uint64_t>* begun);
  routing::Status check(const MoveCommand& command, const Say& say, const StopSignal& stop);
  routing::Status change(const MoveCommand& command, const Say& say);
  routing::Status wait(const MoveCommand& command, const Say& say, const StopSignal& stop);
  routing::Status wait_for_one(uint64_t move, const Say& say, const StopSignal& stop);

  const ReadConfig config_;
  const std::string proxy_;
  pool::EventSink* const events_ = nullptr;
  const ReadCounts counts_;
  const ExpectShard expect_;
  StopSignal stop_, look_up_;
  std::vector<std::unique_ptr<Running>> running_;  // the thread's own
  std::map<uint64_t, Told> told_;                  // by move; likewise
  std::thread thread_;
};

}  // namespace mosaic::admin
