// What the messages of one segment, up to a Sync, have to do with each other where not all of them reach a
// server, or where one of ours goes ahead of them.

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/setting_rules.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::StatementKind;
using routing::StatementPart;

namespace {

bool names_modes(const StatementPart& part) {
  if (part.kind == StatementKind::kBegin) return part.names_modes;
  return part.kind == StatementKind::kSetTransaction ||
         (part.setting && routing::is_transaction_setting(part.setting->name));
}

// May be a command that runs in no transaction block and behind nothing (PostgreSQL,
// PreventInTransactionBlock() in xact.c).
bool may_want_to_be_alone(const StatementPart& part) {
  return part.kind == StatementKind::kDdl || part.kind == StatementKind::kUtility ||
         part.kind == StatementKind::kPrepareTransaction;
}

template <typename Predicate>
bool has_part(const AnalyzedStatement& statement, const Predicate& is_meant) {
  if (statement.plan->is_plain) return false;  // nobody asks for what these are
  const auto& parts = statement.plan->parts;
  return std::any_of(parts.begin(), parts.end(), is_meant);
}

}  // namespace

// The messages since the last ReadyForQuery are done with.
void Session::begin_group() {
  group_ = {};
  if (!transaction_.is_open()) transaction_.has_snapshot_here = false;
}

// What was answered here counts for the server's statements behind it as well: no mode may be named behind a
// snapshot (PostgreSQL, check_XactIsoLevel() and others in variable.c).
void Session::tell_of_what_ran_here(const AnalyzedStatement& statement) {
  const bool matters = (transaction_.has_snapshot_here && has_part(statement, names_modes)) ||
                       (group_.has_run_here && has_part(statement, may_want_to_be_alone));
  if (!matters || leg_.status() == 'E') return;
  leg_.send_statement("SELECT 1", true);
  transaction_.has_snapshot_here = false;
}

// currval() and lastval() must not tell what an earlier client's nextval() has left.
bool Session::tells_of_sequences(const AnalyzedStatement& statement) const {
  if (!leg_.server().has_used_sequences || leg_.remains.has_own_sequences || leg_.status() == 'E')
    return false;
  if (transaction_.traces.has(routing::Trace::kSequences)) return false;  // of this transaction's own
  return has_part(statement, [](const StatementPart& part) {
    return part.traces.has(routing::Trace::kReadsSequences) || part.may_leave_traces();
  });
}

void Session::clear_foreign_sequences(const AnalyzedStatement& statement) {
  if (!tells_of_sequences(statement)) return;
  leg_.send_statement("DISCARD SEQUENCES", true);
  leg_.server().has_used_sequences = false;
}

// What can not be the second of its segment has what is ours ahead of it in a segment of its own. True: that
// is under way, and the message is delivered again behind it.
bool Session::comes_behind_ours(const AnalyzedStatement& statement) {
  // A Parse for the client's Describe has taken a snapshot that the client's messages have not.
  const bool is_only_ours = group_.has_our_snapshot && leg_.is_busy() && leg_.status() == 'I' &&
                            !transaction_.has_run() && !transaction_.has_snapshot_here;
  if (!is_only_ours || !has_part(statement, names_modes)) return forget_sequences_first(statement);
  end_segment();
  return true;
}

bool Session::forget_sequences_first(const AnalyzedStatement& statement) {
  if (leg_.is_busy() || leg_.status() != 'I' || !tells_of_sequences(statement)) return false;
  if (!has_part(statement, names_modes) && !has_part(statement, may_want_to_be_alone)) return false;
  waiting_.own_error.reset();
  leg_.send_own_query(Purpose::kForget, "DISCARD SEQUENCES");
  enter(Phase::kPreparing);
  return true;
}

void Session::on_sequences_forgotten() {
  if (!waiting_.own_error) {
    leg_.server().has_used_sequences = false;
    return resume();
  }
  const routing::Error error = *std::exchange(waiting_.own_error, nullptr);
  if (!is_pinned()) end_lease(LeaseEnd::kReturn);
  go_on_without_server(error);
}

}  // namespace mosaic::proxy
