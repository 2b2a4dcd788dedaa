#include "bench/workload/connection.h"

#include <endian.h>

#include <cassert>
#include <cstring>
#include <stdexcept>

namespace mosaic::workload {

namespace {

constexpr Oid kInt8Oid = 20;  // pg_type.dat: int8

std::string error_field(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? "" : text;
}

bool is_error(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

// Notices are for people at a terminal.
void ignore_notice(void*, const PGresult*) {}

// The parameters of one statement, in the form libpq takes them.
struct Parameters {
  std::vector<Oid> types;
  std::vector<std::string> bytes;
  std::vector<const char*> pointers;
  std::vector<int> lengths;
  std::vector<int> formats;

  Parameters(const BoundStatement& statement, bool is_binary) {
    for (const Value& value : statement.values) {
      const bool as_binary = is_binary && !value.is_text;
      types.push_back(as_binary ? kInt8Oid : 0);
      formats.push_back(as_binary ? 1 : 0);
      if (as_binary) {
        const uint64_t big_endian = htobe64(static_cast<uint64_t>(value.integer));
        bytes.emplace_back(reinterpret_cast<const char*>(&big_endian), sizeof big_endian);
      } else {
        bytes.push_back(value.is_text ? value.text : std::to_string(value.integer));
      }
    }
    for (const std::string& value : bytes) {
      pointers.push_back(value.c_str());
      lengths.push_back(static_cast<int>(value.size()));
    }
  }
  int count() const { return static_cast<int>(bytes.size()); }
};

}  // namespace

std::string_view field(const PGresult* result, int row, int column) {
  return {PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column))};
}

void Connection::connect() {
  connection_.reset(PQconnectStart(conninfo_.c_str()));
  if (connection_ == nullptr) throw std::bad_alloc();
  PQsetNoticeReceiver(connection_.get(), ignore_notice, nullptr);
  is_prepared_.fill(false);
  held_.reset();
  result_.reset();
  has_failed_send_ = false;
  phase_ = Phase::kConnecting;
  wants_write_ = true;
}

void Connection::close() {
  connection_.reset();
  phase_ = Phase::kLost;
  wants_write_ = false;
  has_failed_send_ = false;
}

int Connection::socket() const { return connection_ == nullptr ? -1 : PQsocket(connection_.get()); }

void Connection::send(const BoundStatement& statement, QueryMode mode) {
  assert(phase_ == Phase::kIdle);
  const bool prepares = mode == QueryMode::kPrepared && !is_prepared_[static_cast<size_t>(statement.id)];
  if (prepares) {
    held_ = statement;
    phase_ = Phase::kPreparing;
    has_failed_send_ = !send_prepare(statement.id);
  } else {
    phase_ = Phase::kExecuting;
    has_failed_send_ = !send_execute(statement, mode);
  }
  flush();
}

bool Connection::send_prepare(StatementId id) {
  return PQsendPrepare(connection_.get(), std::string(name_of(id)).c_str(), std::string(text_of(id)).c_str(),
                       0, nullptr) == 1;
}

bool Connection::send_execute(const BoundStatement& statement, QueryMode mode) {
  if (mode == QueryMode::kSimple)
    return PQsendQuery(connection_.get(), to_literal_text(statement).c_str()) == 1;
  if (mode == QueryMode::kExtended) {
    const Parameters parameters(statement, sends_binary_);
    return PQsendQueryParams(connection_.get(), std::string(text_of(statement.id)).c_str(),
                             parameters.count(), parameters.types.data(), parameters.pointers.data(),
                             parameters.lengths.data(), parameters.formats.data(), 0) == 1;
  }
  const Parameters parameters(statement, false);
  return PQsendQueryPrepared(connection_.get(), std::string(name_of(statement.id)).c_str(),
                             parameters.count(), parameters.pointers.data(), parameters.lengths.data(),
                             parameters.formats.data(), 0) == 1;
}

void Connection::flush() {
  if (has_failed_send_) return;
  const int flushed = PQflush(connection_.get());
  has_failed_send_ = flushed < 0;
  wants_write_ = flushed == 1;
}

std::optional<Outcome> Connection::on_ready() {
  if (phase_ == Phase::kLost) return std::nullopt;
  if (phase_ == Phase::kConnecting) return on_connecting();
  if (has_failed_send_ || PQconsumeInput(connection_.get()) == 0) return lose();
  if (wants_write_) flush();
  if (phase_ == Phase::kIdle) {
    // Nothing is in flight: whatever came is a notice, a parameter, or the end.
    if (PQstatus(connection_.get()) == CONNECTION_BAD) return lose();
    return std::nullopt;
  }
  while (PQisBusy(connection_.get()) == 0) {
    ResultPtr next(PQgetResult(connection_.get()));
    if (next != nullptr) {
      // An error says more than what came before it.
      if (result_ == nullptr || is_error(next.get())) result_ = std::move(next);
      if (PQstatus(connection_.get()) == CONNECTION_BAD) return lose();
      continue;
    }
    if (PQstatus(connection_.get()) == CONNECTION_BAD || result_ == nullptr) return lose();
    Outcome outcome;
    outcome.result = std::move(result_);
    if (is_error(outcome.result.get())) {
      outcome.kind = Outcome::Kind::kError;
      outcome.sqlstate = error_field(outcome.result.get(), PG_DIAG_SQLSTATE);
      outcome.message = error_field(outcome.result.get(), PG_DIAG_MESSAGE_PRIMARY);
    } else if (phase_ == Phase::kPreparing) {
      is_prepared_[static_cast<size_t>(held_->id)] = true;
      phase_ = Phase::kExecuting;
      has_failed_send_ = !send_execute(*held_, QueryMode::kPrepared);
      flush();
      held_.reset();
      if (has_failed_send_) return lose();
      return std::nullopt;
    }
    held_.reset();
    phase_ = Phase::kIdle;
    return outcome;
  }
  return std::nullopt;
}

std::optional<Outcome> Connection::on_connecting() {
  switch (PQconnectPoll(connection_.get())) {
    case PGRES_POLLING_FAILED:
      return lose();
    case PGRES_POLLING_WRITING:
      wants_write_ = true;
      return std::nullopt;
    case PGRES_POLLING_OK:
      phase_ = Phase::kIdle;
      wants_write_ = false;
      if (PQsetnonblocking(connection_.get(), 1) != 0) return lose();
      return std::nullopt;
    default:
      wants_write_ = false;
      return std::nullopt;
  }
}

Outcome Connection::lose() {
  Outcome outcome;
  outcome.kind = Outcome::Kind::kLost;
  outcome.message = PQerrorMessage(connection_.get());
  if (result_ != nullptr) {
    outcome.sqlstate = error_field(result_.get(), PG_DIAG_SQLSTATE);
    const std::string said = error_field(result_.get(), PG_DIAG_MESSAGE_PRIMARY);
    if (!said.empty()) outcome.message = said;
  }
  while (!outcome.message.empty() && outcome.message.back() == '\n') outcome.message.pop_back();
  held_.reset();
  result_.reset();
  close();
  return outcome;
}

ConnectionPtr connect_blocking(const std::string& conninfo) {
  ConnectionPtr connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection.get()));
  PQsetNoticeReceiver(connection.get(), ignore_notice, nullptr);
  return connection;
}

ResultPtr execute_blocking(PGconn* connection, const std::string& text) {
  ResultPtr result(PQexec(connection, text.c_str()));
  if (is_error(result.get())) throw std::runtime_error(PQerrorMessage(connection) + ("in: " + text));
  return result;
}

}  // namespace mosaic::workload
