#pragma once
// One thread's clients and its epoll instance: tells each client when its socket is ready, its timer has come
// or its answer is overdue, and in an open loop hands out what is due to whichever client is free. Made and
// run by PhaseRunner, on one thread.

#include <deque>
#include <vector>

#include "bench/workload/pacer.h"
#include "bench/workload/photo_client.h"

namespace mosaic::workload {

Nanoseconds monotonic_now();

class ClientLoop {
 public:
  // `statement_timeout`: an answer that takes longer counts as a lost connection.
  ClientLoop(const std::vector<PhotoClient*>& clients, Nanoseconds statement_timeout);
  ~ClientLoop();
  ClientLoop(const ClientLoop&) = delete;
  ClientLoop& operator=(const ClientLoop&) = delete;

  // Blocks until every client has finished the stage. `pacer`: of a paced stage, else null.
  void run(const Stage& stage, Statistics& statistics, Pacer* pacer);

 private:
  struct Slot {
    PhotoClient* client;
    int socket = -1;
    uint64_t generation = 0;  // of the connection whose socket is registered
    uint32_t interest = 0;
    bool is_queued = false;  // in free_
    bool is_finished = false;
  };

  void wait_for_events();
  void start_due();
  void tick(Nanoseconds now);
  void settle(Slot& slot);
  void register_socket(Slot& slot);

  Nanoseconds statement_timeout_;
  int epoll_;
  std::vector<Slot> slots_;
  Pacer* pacer_ = nullptr;
  std::deque<Slot*> free_;  // in the order in which they became free; may hold clients that no longer are
  size_t finished_ = 0;
  Nanoseconds next_tick_ = 0;
  Nanoseconds next_timeout_scan_ = 0;
};

}  // namespace mosaic::workload
