#pragma once
// The client's transaction, open or implicit (a query, the messages up to a Sync), as it will be once all
// that was sent has been answered. Until something happened that could have been different elsewhere it is
// *portable*: it can be begun again on another node by saying again what was said. Then it is *bound* to the
// node where it is. Pure; one per session.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/sql/statement_plan.h"
#include "routing/result.h"

namespace mosaic::proxy {

class Transaction {
 public:
  // Between BEGIN and its end, on a server or not.
  bool is_open() const { return is_open_; }
  bool is_bound() const { return is_bound_; }
  void bind() { is_bound_ = bound_since_ready_ = is_bound_behind_chain_ = true; }
  // What bound it was refused, and nothing else was said since.
  void unbind() { is_bound_ = was_bound_ = bound_since_ready_ = is_bound_behind_chain_ = false; }
  bool may_leave_traces() const {
    return traces.has(routing::Trace::kUnknown) || !pins.is_empty() || !untold_settings.empty();
  }
  // Its server was lost: it can only be ended.
  bool is_lost() const { return loss_ != nullptr; }
  const routing::Error& loss() const { return *loss_; }
  void lose(const routing::Error& error, bool is_told);
  // No server took part yet: it can be rolled back to a savepoint.
  void fail(const routing::Error& error);
  // A server is in the state that it failed in.
  void on_failed_again();
  bool can_go_back() const { return can_go_back_; }
  void go_back() {
    loss_.reset();
    can_go_back_ = false;
  }
  bool is_loss_told() const { return is_loss_told_; }
  void tell_loss() { is_loss_told_ = true; }

  // --- what has been said ---
  const std::vector<std::string>& said() const { return said_; }
  // The server that is held has been told all of it.
  bool is_told() const { return is_told_; }
  void set_told(bool is_told) { is_told_ = is_told; }
  // For another: what has run there counts as run here. Whether anything has.
  bool leave_server();
  bool has_run() const { return has_run_; }
  // More than `bytes` is not kept: it becomes bound. `is_mode`: what kind of transaction it is.
  void say(std::string text, bool is_mode, size_t bytes_max);
  // Its end AND CHAIN begins another of the same modes: what says so is known.
  bool may_chain() const { return are_modes_known_ && !modes_.empty(); }
  // While no server takes part. One that has failed, not behind a savepoint, leaves no modes to the next, as
  // in PostgreSQL (they are reset before they are kept: CommitTransactionCommand() in xact.c).
  void chain(bool has_failed);
  // By what was said of its modes; nothing: that is for default_transaction_read_only to say.
  std::optional<bool> is_read_only() const;
  bool has_room(size_t more_bytes, size_t bytes_max) const { return said_bytes_ + more_bytes <= bytes_max; }

  // --- while no server takes part ---
  void begin(std::string text, bool is_snapshot);
  void open_savepoint(std::string name) { savepoints_.push_back(std::move(name)); }
  bool has_savepoint(std::string_view name) const {
    return std::find(savepoints_.begin(), savepoints_.end(), name) != savepoints_.end();
  }
  // Forgets savepoints behind the latest of this name, and with `is_release` that one too.
  void leave_savepoint(std::string_view name, bool is_release);

  // --- as statements are sent and confirmed ---
  // Whether the same statement elsewhere would have come to the same.
  bool is_portable(const routing::StatementPart& part) const;
  void on_sent(const routing::StatementPart& part);
  // The same for a plain one (StatementPlan::is_plain).
  void on_plain_sent(bool is_free) {
    has_run_ = has_taken_snapshot_ = true;
    if (!is_free || is_snapshot_) bind();
  }
  void on_ended(bool has_failed);               // COMMIT or ROLLBACK is confirmed: what follows is another
  void on_ready(char status, bool has_failed);  // by the server, for the client
  void reset();                                 // nothing is open

  // What Mosaic has answered itself would have taken a snapshot, behind which no level may be named
  // (PostgreSQL, check_XactIsoLevel() in variable.c); no server knows of it yet.
  bool has_snapshot_here = false;
  // A SET LOCAL that decides how constants are read is part of it.
  bool has_local_settings = false;
  bool has_local_search_path = false;
  // A setting that decides how text is read is changed in it: its end may change it back.
  bool changes_reading = false;
  // What ran may leave behind, known exactly or not, also where it failed: a session lock outlives an error.
  routing::Traces traces;
  routing::Pins pins;
  std::vector<std::string> untold_settings;  // changed by name, to values that only the server knows
  bool has_changed_schema = false;
  // A definition that others see is on its way: what servers have parsed may be stale.
  bool changes_schema = false;
  // Something ran that may make or end a reason to keep the server.
  bool may_change_pins = false;

 private:
  void begin_again(std::vector<std::string> modes);

  bool is_open_ = false;
  bool is_bound_ = false;
  bool was_bound_ = false;  // at the last ReadyForQuery
  bool bound_since_ready_ = false;
  bool is_chaining_ = false;  // the end of it is on its way, AND CHAIN
  bool is_bound_behind_chain_ = false;
  bool are_modes_known_ = true;
  bool began_by_chain_ = false;  // its modes outlive its failure
  bool is_snapshot_ = false;     // all its statements see one snapshot, from its first read on
  bool is_told_ = false;
  bool has_run_ = false, has_taken_snapshot_ = false;  // on the server
  bool is_loss_told_ = false;
  bool can_go_back_ = false;
  size_t said_bytes_ = 0;
  std::vector<std::string> said_;
  std::vector<std::string> modes_;  // BEGIN and SET TRANSACTION of what was said
  std::vector<std::string> savepoints_;
  std::unique_ptr<routing::Error> loss_;
};

}  // namespace mosaic::proxy
