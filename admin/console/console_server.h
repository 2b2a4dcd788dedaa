#pragma once
// Takes console clients from the data plane and serves each on a thread of its own, a bounded number at a
// time; samples what SHOW STATS and SHOW HEAT tell of the past. The data plane never waits for it.

#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "admin/console/console_state.h"
#include "admin/stop_signal.h"

namespace mosaic::admin {

class ConsoleServer {
 public:
  explicit ConsoleServer(ConsoleBackend backend);
  ~ConsoleServer();  // closes all sessions
  ConsoleServer(const ConsoleServer&) = delete;
  ConsoleServer& operator=(const ConsoleServer&) = delete;

  // Takes the client over, or refuses it when max_console_clients are there. Any thread; does not block.
  void serve(proxy::ConsoleClient client);

 private:
  struct Session {
    std::thread thread;
    std::atomic<bool> is_over{false};
  };
  void remove_ended();  // with mutex_ held
  void sample();

  ConsoleState state_;
  StopSignal stop_;
  std::mutex mutex_;
  std::list<Session> sessions_;  // guarded by mutex_
  std::thread sampler_;
};

}  // namespace mosaic::admin
