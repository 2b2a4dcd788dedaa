#pragma once
// Works on one move, from the state that it finds until it has ended: what each state of move_machine.h
// means. Keeps its lease from a thread of its own; whoever has lost that changes nothing any more. Blocking.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "admin/config/config.h"
#include "admin/event_log.h"
#include "admin/move/cutover.h"
#include "admin/move/move_nodes.h"
#include "admin/move/move_scripts.h"
#include "admin/move/move_store.h"
#include "admin/stop_signal.h"

namespace mosaic::admin {

class Mover {
 public:
  // `row`: claimed. `events` may be null.
  Mover(Config config, MoveStore store, MoveRow row, pool::EventSink* events);
  ~Mover();
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;

  void run();
  void stop();  // any thread: run() returns soon; another proxy, or this one later, goes on
  uint64_t move() const { return id_; }

 private:
  // What came of a state's work. Only `is_over`: nothing is to be written any more.
  struct Outcome {
    MoveEvent event = MoveEvent::kAgain;
    bool is_over = false;
  };

  Outcome work();
  Outcome prepare();
  Outcome wait_for_room();
  Outcome copy();
  Outcome index();
  Outcome catch_up();
  Outcome verify();
  Outcome warm();
  Outcome make_way_back();
  Outcome cut_over(Side from, MoveState to_state);
  Outcome switch_lanes();
  Outcome soak();
  routing::Status make_sure();
  routing::Status guard_nodes();
  Outcome clear_up(Side loser, const char* dropped_point, const char* schema_point);

  routing::Status read_shard();
  routing::Status make_target(const std::string& pre_data);
  routing::Status make_source();
  routing::Status revoke_more(Connection& source, Connection& target);
  routing::Result<Rows> wait_for_slot(Side side, const std::function<routing::Result<Rows>()>& make);
  routing::Result<std::string> make_slot();
  routing::Status watch_source(Connection& source);
  bool repairs_lane(Connection& receiver, Way way);
  Outcome outcome_of(const routing::Error& error, MoveEvent otherwise = MoveEvent::kAgain);
  Outcome later(MoveEvent event = MoveEvent::kAgain);
  bool enter(MoveState state);
  void reopen_store();
  std::optional<MoveEvent> wished();
  void keep_lease();
  void tell(const char* name, pool::Severity severity) const;
  std::string schema() const;

  const Config config_;
  const uint64_t id_;
  MoveStore store_;
  MoveRow row_;
  pool::EventSink* events_;
  StopSignal stop_;       // for good
  StopSignal interrupt_;  // what is under way
  StopSignal keeper_stop_;
  MoveNodes nodes_;
  MoveScripts scripts_;
  std::optional<Connection> snapshot_holder_;
  std::string snapshot_, pre_data_;
  std::mutex mutex_;
  std::string wish_;            // guarded by mutex_: as the lease's thread has read it last
  uint32_t repairs_ = 0;        // of the state's lane
  uint32_t tries_ = 0;          // of the state, in vain
  bool is_sure_ = false;        // nothing that was asked for before may still be about to happen
  bool must_take_back_ = true;  // an attempt may have been left half done
  std::thread keeper_;
};

}  // namespace mosaic::admin
