#pragma once
// One client of the application: its connection, the operation that it is in the middle of, and its oracle. A
// state machine driven by PhaseRunner's loop; owned by one thread at a time. Time is an argument.

#include <cstdint>
#include <deque>
#include <optional>

#include "bench/workload/arrivals.h"
#include "bench/workload/connection.h"
#include "bench/workload/operation.h"
#include "bench/workload/oracle.h"
#include "bench/workload/statistics.h"

namespace mosaic::workload {

// What a client has to do in one stage, shared by all clients of a run.
struct Stage {
  QueryMode mode = QueryMode::kSimple;
  bool is_preparation = false;   // each client's own preparations; else operations of the mix until the end
  bool is_paced = false;         // open loop: an operation begins when begin_due() says so, not when one ends
  Nanoseconds end = UINT64_MAX;  // no operation begins after it
  std::atomic<int64_t>* operations_left = nullptr;  // null: no limit
};

class PhotoClient {
 public:
  // `keeps_oracle`: whether what succeeds is written down to be verified; memory grows with every row then.
  PhotoClient(uint32_t index, const std::string& conninfo, uint64_t seed, Population& population,
              const OperationMix& mix = {}, bool keeps_oracle = true);

  // To be done in the next stage of preparations, in this order.
  void add_sign_up(int64_t user_id);
  void add_setting();
  void add_upload(int64_t user_id);
  bool has_preparations() const { return !preparations_.empty(); }

  // Begins a stage. Then on_ready() whenever the socket is ready, on_timer() when wake_at() has come, until
  // is_finished(). `stage` and `statistics` must live so long.
  void start(const Stage& stage, Statistics& statistics, Nanoseconds now);
  void on_ready(Nanoseconds now);
  void on_timer(Nanoseconds now);
  // In a paced stage: begins an operation that was due at `due`, from when its latency counts. is_free() must
  // hold.
  void begin_due(Nanoseconds due, Nanoseconds now);
  // Drops the connection, as if it were lost, when the answer awaited is older than `timeout`.
  void check_timeout(Nanoseconds timeout, Nanoseconds now);

  bool is_free() const { return is_free_; }
  bool is_finished() const { return is_finished_; }
  const Connection& connection() const { return connection_; }
  // Changes whenever the connection got another socket.
  uint64_t connection_generation() const { return connection_generation_; }
  Nanoseconds wake_at() const { return wake_at_; }
  Oracle& oracle() { return oracle_; }

 private:
  void reconnect(Nanoseconds now);
  void begin_operation(Nanoseconds now);
  void begin(Operation operation, Nanoseconds due, Nanoseconds now);
  void send_next(Nanoseconds now);
  void on_outcome(Outcome outcome, Nanoseconds now);
  void on_error(const Outcome& outcome, Nanoseconds now);
  void on_lost(const Outcome& outcome, Nanoseconds now);
  void end_operation(Nanoseconds now);
  void note_success(const PGresult* result);
  void note_unknown();
  void report_fault(const std::string& fault);

  Connection connection_;
  OperationPicker picker_;
  Population& population_;
  Oracle oracle_;
  bool keeps_oracle_;
  std::vector<OwnPhoto> photos_;
  std::vector<int64_t> comments_;
  uint64_t photos_noted_ = 0, comments_noted_ = 0;
  std::deque<Operation> preparations_;

  const Stage* stage_ = nullptr;
  Statistics* statistics_ = nullptr;
  std::optional<Operation> operation_;
  size_t next_statement_ = 0;
  bool is_rolling_back_ = false;   // after an error inside a transaction
  Nanoseconds operation_due_ = 0;  // latencies of operations count from here, whenever they really began
  Nanoseconds waiting_since_ = 0;  // for the answer to a statement, or to the attempt to connect
  Nanoseconds wake_at_ = UINT64_MAX;
  uint64_t connection_generation_ = 0;
  bool is_free_ = false;
  bool is_finished_ = true;
};

}  // namespace mosaic::workload
