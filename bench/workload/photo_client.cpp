#include "bench/workload/photo_client.h"

#include <charconv>

#include "bench/workload/photo_texts.h"
#include "bench/workload/reply_check.h"

namespace mosaic::workload {

namespace {

constexpr Nanoseconds kRetryDelay = 100'000'000;

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

}  // namespace

PhotoClient::PhotoClient(uint32_t index, const std::string& conninfo, uint64_t seed, Population& population)
    : connection_(conninfo, index % 2 == 1),
      picker_(index, seed + index, population),
      population_(population) {}

void PhotoClient::add_sign_up(int64_t user_id) { sign_ups_.push_back(picker_.sign_up(user_id)); }
void PhotoClient::add_setting() { sign_ups_.push_back(picker_.write_setting()); }

void PhotoClient::start(const Stage& stage, Statistics& statistics, Nanoseconds now) {
  stage_ = &stage;
  statistics_ = &statistics;
  is_finished_ = false;
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
  next_statement_ = 0;
  const bool has_budget = stage_->operations_left == nullptr || stage_->operations_left->fetch_sub(1) > 0;
  if (now >= stage_->end || !has_budget || (stage_->is_sign_up && sign_ups_.empty())) {
    is_finished_ = true;
    return;
  }
  operation_due_ = now;
  operation_ = stage_->is_sign_up ? sign_ups_.front() : picker_.draw(photos_, comments_);
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
  wake_at_ = now + kRetryDelay;
}

void PhotoClient::end_operation(Nanoseconds now) {
  statistics_->operation_latency[static_cast<size_t>(operation_->kind)].record(now - operation_due_);
  if (stage_->is_sign_up) sign_ups_.pop_front();
  begin_operation(now);
}

void PhotoClient::note_success(const PGresult* result) {
  const Operation& done = *operation_;
  switch (done.kind) {
    case OperationKind::kSignUp:
      oracle_.insert(Table::kUsers, {done.user_id, 0}, done.digest);
      break;
    case OperationKind::kUpload: {
      const int64_t id = id_in(result);
      oracle_.insert(Table::kMedia, {id, 0}, done.digest);
      photos_.push_back({id, done.user_id, done.sequence, 0});
      population_.add_photo({id, done.user_id});
      break;
    }
    case OperationKind::kEditCaption:
      oracle_.update(Table::kMedia, {done.row_id, 0}, done.digest);
      oracle_.increase(done.user_id);
      ++photos_[done.own_index].version;
      break;
    case OperationKind::kLike:
      oracle_.insert(Table::kLikes, {done.user_id, done.row_id}, done.digest);
      break;
    case OperationKind::kComment: {
      const int64_t id = id_in(result);
      oracle_.insert(Table::kComments, {id, 0}, done.digest);
      comments_.push_back(id);
      break;
    }
    case OperationKind::kDeleteComment:
      oracle_.remove(Table::kComments, {done.row_id, 0});
      take_out(comments_, done.own_index);
      break;
    case OperationKind::kFollow:
      oracle_.insert(Table::kFollows, {done.user_id, done.row_id}, done.digest);
      break;
    default:
      break;
  }
}

// Rows with an unknown outcome are not touched again: the write may still be on its way.
void PhotoClient::note_unknown() {
  const Operation& lost = *operation_;
  switch (lost.kind) {
    case OperationKind::kSignUp:
      oracle_.maybe_insert(Table::kUsers, {lost.user_id, 0}, lost.digest);
      break;
    case OperationKind::kUpload:
      oracle_.maybe_insert_unidentified(Table::kMedia, lost.digest);
      break;
    case OperationKind::kEditCaption:
      oracle_.maybe_update(Table::kMedia, {lost.row_id, 0}, lost.digest);
      oracle_.maybe_increase(lost.user_id);
      take_out(photos_, lost.own_index);
      break;
    case OperationKind::kLike:
      oracle_.maybe_insert(Table::kLikes, {lost.user_id, lost.row_id}, lost.digest);
      break;
    case OperationKind::kComment:
      oracle_.maybe_insert_unidentified(Table::kComments, lost.digest);
      break;
    case OperationKind::kDeleteComment:
      oracle_.maybe_remove(Table::kComments, {lost.row_id, 0});
      take_out(comments_, lost.own_index);
      break;
    case OperationKind::kFollow:
      oracle_.maybe_insert(Table::kFollows, {lost.user_id, lost.row_id}, lost.digest);
      break;
    default:
      break;
  }
}

void PhotoClient::report_fault(const std::string& fault) {
  statistics_->wrong_answers.fetch_add(1, std::memory_order_relaxed);
  statistics_->count_failure("wrong answer", std::string(to_text(operation_->kind)) + " of user " +
                                                 std::to_string(operation_->user_id) + ": " + fault);
}

}  // namespace mosaic::workload
