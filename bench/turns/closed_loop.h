#pragma once
// Clients of one target that read a row, wait for it and read the next: closed loop, one thread, epoll,
// statements of the protocol written directly, so that the load costs the machine little beside what is
// measured.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "bench/turns/plan.h"
#include "bench/workload/latency_histogram.h"
#include "routing/byte_buffer.h"

namespace mosaic::turns {

// What came of one turn, over its counted part.
struct Window {
  uint64_t transactions = 0;
  double seconds = 0;
  double cpu_s = 0;  // of the target's process, all threads; 0 without one
};

class ClosedLoop {
 public:
  // Connects all clients and, where the target is asked by Protocol::kPrepared, prepares a statement per
  // table. Throws std::runtime_error with what the server said, here and below.
  ClosedLoop(const Target& target, uint32_t clients, uint64_t seed);
  ~ClosedLoop();
  ClosedLoop(const ClosedLoop&) = delete;
  ClosedLoop& operator=(const ClosedLoop&) = delete;

  // Every client reads until `warm_up_s` + `window_s` are over and it has its last row. Latencies of the
  // counted part are added to `latencies`.
  Window run(double warm_up_s, double window_s, workload::LatencyHistogram& latencies);

  const Target& target() const { return target_; }

 private:
  struct Read {
    uint32_t database;
    uint32_t table;
    int64_t key;
  };
  struct Connection {
    int fd = -1;
    uint32_t database = 0;
    uint64_t sent_ns = 0;
    routing::ByteBuffer received;
  };

  void open(Connection& connection);
  void send_read(size_t client);
  void append_read(const Read& read);
  void send_out(Connection& connection);
  void receive(Connection& connection);
  bool take_reply(Connection& connection);
  void await_reply(Connection& connection);

  Target target_;
  std::vector<Read> reads_;
  std::vector<Connection> connections_;  // each client's side by side, one to each database
  routing::ByteBuffer out_;
  int epoll_ = -1;
  std::mt19937_64 random_;
};

}  // namespace mosaic::turns
