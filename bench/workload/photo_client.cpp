#include "bench/workload/photo_client.h"

#include <charconv>

#include "bench/workload/oracle_notes.h"
#include "bench/workload/reply_check.h"

namespace mosaic::workload {

namespace {

constexpr Nanoseconds kRetryDelay = 100'000'000;
constexpr size_t kOwnMax = 4096;  // photos to edit, comments to delete: the latest, per client

bool is_write(StatementId id) {
  switch (id) {
    case StatementId::kSignUp:
    case StatementId::kUpload:
    case StatementId::kLike:
    case StatementId::kComment:
    case StatementId::kDeleteComment:
    case StatementId::kFollow:
    case StatementId::kCommit:
      return true;
    default:
      return false;
  }
}

// Errors that do not tell whether the statement was executed: connection failures (class 08), shutdowns
// (57P01 and its neighbours), a node lost under the statement (Mosaic's MZ020).
bool is_unknown_outcome(std::string_view sqlstate) {
  return sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "MZ020";
}

int64_t id_in(const PGresult* result) {
  const char* text = PQgetvalue(result, 0, 0);
  int64_t id = 0;
  std::from_chars(text, text + PQgetlength(result, 0, 0), id);
  return id;
}

template <typename T>
void take_out(std::vector<T>& list, size_t index) {
  std::swap(list[index], list.back());
  list.pop_back();
}

// A full list forgets one of its older entries.
template <typename T>
void keep_latest(std::vector<T>& list, uint64_t& noted, const std::type_identity_t<T>& entry) {
  if (list.size() < kOwnMax) {
    list.push_back(entry);
  } else {
    list[noted % kOwnMax] = entry;
  }
  ++noted;
}

}  // namespace

PhotoClient::PhotoClient(uint32_t index, const std::string& conninfo, uint64_t seed, Population& population,
                         const OperationMix& mix, bool keeps_oracle)
    : connection_(conninfo, index % 2 == 1),
      picker_(index, seed + index, population, mix),
      population_(population),
      keeps_oracle_(keeps_oracle) {}

void PhotoClient::add_sign_up(int64_t user_id) { preparations_.push_back(picker_.sign_up(user_id)); }
void PhotoClient::add_setting() { preparations_.push_back(picker_.write_setting()); }
void PhotoClient::add_upload(int64_t user_id) { preparations_.push_back(picker_.upload(user_id)); }

void PhotoClient::start(const Stage& stage, Statistics& statistics, Nanoseconds now) {
  stage_ = &stage;
  statistics_ = &statistics;
  is_finished_ = false;
  is_free_ = false;
  wake_at_ = UINT64_MAX;
  if (connection_.is_connected()) {
    begin_operation(now);
  } else {
    reconnect(now);
  }
}

void PhotoClient::reconnect(Nanoseconds now) {
  waiting_since_ = now;
  connection_.connect();
  ++connection_generation_;
}

void PhotoClient::on_timer(Nanoseconds now) {
  wake_at_ = UINT64_MAX;
  if (connection_.is_connected()) {
    begin_operation(now);
  } else if (now >= stage_->end) {
    is_finished_ = true;
  } else {
    reconnect(now);
  }
}

void PhotoClient::on_ready(Nanoseconds now) {
  const bool was_connected = connection_.is_connected();
  if (auto outcome = connection_.on_ready()) {
    on_outcome(std::move(*outcome), now);
  } else if (!was_connected && connection_.is_connected()) {
    begin_operation(now);
  }
}

void PhotoClient::check_timeout(Nanoseconds timeout, Nanoseconds now) {
  if (!connection_.is_waiting() || now - waiting_since_ < timeout) return;
  Outcome outcome;
  outcome.kind = Outcome::Kind::kLost;
  outcome.message = "no answer for " + std::to_string(timeout / 1'000'000'000) + " seconds";
  connection_.close();
  on_lost(outcome, now);
}

void PhotoClient::begin_operation(Nanoseconds now) {
  operation_.reset();
  is_rolling_back_ = false;
  is_free_ = false;
  const bool has_budget = stage_->operations_left == nullptr || stage_->operations_left->fetch_sub(1) > 0;
  if (now >= stage_->end || !has_budget || (stage_->is_preparation && preparations_.empty())) {
    is_finished_ = true;
    return;
  }
  if (stage_->is_paced) {
    is_free_ = true;
    wake_at_ = stage_->end;
    return;
  }
  begin(stage_->is_preparation ? preparations_.front() : picker_.draw(photos_, comments_), now, now);
}

void PhotoClient::begin_due(Nanoseconds due, Nanoseconds now) {
  is_free_ = false;
  wake_at_ = UINT64_MAX;
  begin(picker_.draw(photos_, comments_), due, now);
}

void PhotoClient::begin(Operation operation, Nanoseconds due, Nanoseconds now) {
  next_statement_ = 0;
  operation_due_ = due;
  operation_ = std::move(operation);
  send_next(now);
}

void PhotoClient::send_next(Nanoseconds now) {
  waiting_since_ = now;
  if (is_rolling_back_) {
    connection_.send({StatementId::kRollback, {}}, stage_->mode);
  } else {
    connection_.send(operation_->statements[next_statement_], stage_->mode);
  }
}

void PhotoClient::on_outcome(Outcome outcome, Nanoseconds now) {
  if (outcome.kind == Outcome::Kind::kLost) return on_lost(outcome, now);
  if (!operation_) return;  // an idle connection can not be told anything but its end
  statistics_->statements.fetch_add(1, std::memory_order_relaxed);
  statistics_->statement_latency.record(now - waiting_since_);
  if (outcome.kind == Outcome::Kind::kError) return on_error(outcome, now);
  if (is_rolling_back_) return begin_operation(now);

  const std::string fault = find_fault(*operation_, next_statement_, outcome.result.get());
  if (!fault.empty()) report_fault(fault);
  const bool is_last = ++next_statement_ == operation_->statements.size();
  if (!is_last) return send_next(now);
  if (fault.empty()) note_success(outcome.result.get());
  end_operation(now);
}

void PhotoClient::on_error(const Outcome& outcome, Nanoseconds now) {
  statistics_->errors.fetch_add(1, std::memory_order_relaxed);
  statistics_->count_failure(outcome.sqlstate,
                             outcome.message + " [" + std::string(to_text(operation_->kind)) + "]");
  if (is_rolling_back_) {
    // A transaction that can not even be ended: only a new connection is known to be clean.
    connection_.close();
    wake_at_ = now + kRetryDelay;
    return;
  }
  if (is_write(operation_->statements[next_statement_].id) && is_unknown_outcome(outcome.sqlstate))
    note_unknown();
  const bool is_in_transaction = operation_->statements.size() > 1 && next_statement_ > 0;
  if (is_in_transaction) {
    is_rolling_back_ = true;
    return send_next(now);
  }
  operation_.reset();
  wake_at_ = now + kRetryDelay;  // a server in trouble is not hammered; sign-ups are tried again
}

void PhotoClient::on_lost(const Outcome& outcome, Nanoseconds now) {
  statistics_->lost.fetch_add(1, std::memory_order_relaxed);
  statistics_->count_failure(outcome.sqlstate.empty() ? "lost" : outcome.sqlstate, outcome.message);
  if (operation_ && !is_rolling_back_ && is_write(operation_->statements[next_statement_].id)) note_unknown();
  operation_.reset();
  is_rolling_back_ = false;
  is_free_ = false;
  wake_at_ = now + kRetryDelay;
}

void PhotoClient::end_operation(Nanoseconds now) {
  statistics_->count_operation(operation_->kind, now - operation_due_);
  if (stage_->is_preparation) preparations_.pop_front();
  begin_operation(now);
}

void PhotoClient::note_success(const PGresult* result) {
  const Operation& done = *operation_;
  const bool has_id = done.kind == OperationKind::kUpload || done.kind == OperationKind::kComment;
  const int64_t id = has_id ? id_in(result) : 0;
  if (keeps_oracle_) workload::note_success(oracle_, done, id);
  switch (done.kind) {
    case OperationKind::kUpload:
      keep_latest(photos_, photos_noted_, {id, done.user_id, done.sequence, 0});
      population_.add_photo({id, done.user_id});
      break;
    case OperationKind::kEditCaption:
      ++photos_[done.own_index].version;
      break;
    case OperationKind::kComment:
      keep_latest(comments_, comments_noted_, id);
      break;
    case OperationKind::kDeleteComment:
      take_out(comments_, done.own_index);
      break;
    default:
      break;
  }
}

// Rows with an unknown outcome are not touched again: the write may still be on its way.
void PhotoClient::note_unknown() {
  const Operation& lost = *operation_;
  if (keeps_oracle_) workload::note_unknown(oracle_, lost);
  if (lost.kind == OperationKind::kEditCaption) take_out(photos_, lost.own_index);
  if (lost.kind == OperationKind::kDeleteComment) take_out(comments_, lost.own_index);
}

void PhotoClient::report_fault(const std::string& fault) {
  statistics_->wrong_answers.fetch_add(1, std::memory_order_relaxed);
  statistics_->count_failure("wrong answer", std::string(to_text(operation_->kind)) + " of user " +
                                                 std::to_string(operation_->user_id) + ": " + fault);
}

}  // namespace mosaic::workload
