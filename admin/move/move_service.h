#pragma once
// Moves of shards as this process sees to them: looks for moves that nobody works on, runs some, and does
// what operators say. Owns its threads; its commands may come from any.

#include <atomic>
#include <functional>
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

namespace mosaic::admin {

class MoveService {
 public:
  using ReadConfig = std::function<std::shared_ptr<const Config>()>;

  enum class Work : uint8_t { kMoves, kNone };  // kNone: commands only, others carry them out
  MoveService(ReadConfig config, std::string proxy, pool::EventSink* events, Work work = Work::kMoves);
  ~MoveService();
  void stop();  // others, or the next start, go on
  MoveService(const MoveService&) = delete;
  MoveService& operator=(const MoveService&) = delete;

  // Says what it did, and for WAIT what happens.
  // `begun`: gets the numbers of moves that it begins; may be null.
  routing::Status run(const MoveCommand& command, const Say& say, const StopSignal& stop,
                      std::vector<uint64_t>* begun = nullptr);
  // For views; the newest last. Errors: the catalog can not be asked.
  routing::Result<std::vector<MoveRow>> list() const;

 private:
  struct Running {
    std::unique_ptr<Mover> mover;
    std::thread thread;
    std::atomic<bool> is_done{false};
  };

  void watch();
  void take(MoveStore& store, const std::vector<MoveRow>& rows, const MoveRow& row);
  int64_t soaking(const std::vector<MoveRow>& rows) const;  // of this process
  void forget_done();
  routing::Status begin(const std::vector<std::pair<routing::ShardId, std::string>>& moves,
                        const MoveOptions& options, const Say& say, std::vector<uint64_t>* begun);
  routing::Status begin_all(const MoveCommand& command, const Say& say, std::vector<uint64_t>* begun);
  routing::Status drain(const MoveCommand& command, const Say& say, std::vector<uint64_t>* begun);
  routing::Status check(const MoveCommand& command, const Say& say, const StopSignal& stop);
  routing::Status change(const MoveCommand& command, const Say& say);
  routing::Status wait(const MoveCommand& command, const Say& say, const StopSignal& stop);

  const ReadConfig config_;
  const std::string proxy_;
  pool::EventSink* const events_;
  StopSignal stop_, look_up_;
  std::vector<std::unique_ptr<Running>> running_;  // the thread's own
  std::thread thread_;
};

}  // namespace mosaic::admin
