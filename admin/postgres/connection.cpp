#include "admin/postgres/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>

#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using Clock = std::chrono::steady_clock;
using routing::Error;
using routing::Result;
using routing::Status;

enum class Wake : uint8_t { kReady, kTimeout, kStopped };

int remaining_ms(Clock::time_point deadline) {
  if (deadline == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT_MAX));
}

Wake wait_for(int descriptor, short events, Clock::time_point deadline, const StopSignal* stop,
              const StopSignal* look_up = nullptr) {
  const auto descriptor_of = [](const StopSignal* signal) { return signal ? signal->descriptor() : -1; };
  while (true) {
    pollfd watched[3] = {
        {descriptor, events, 0}, {descriptor_of(stop), POLLIN, 0}, {descriptor_of(look_up), POLLIN, 0}};
    const int count = poll(watched, 3, remaining_ms(deadline));
    if (count < 0 && errno == EINTR) continue;
    if (watched[1].revents != 0 || watched[2].revents != 0) return Wake::kStopped;
    if (watched[0].revents != 0) return Wake::kReady;
    if (remaining_ms(deadline) == 0) return Wake::kTimeout;
  }
}

Clock::time_point deadline_after(std::chrono::milliseconds limit) {
  return limit.count() == 0 ? Clock::time_point::max() : Clock::now() + limit;
}

std::string trimmed(const char* text) {
  std::string message = text == nullptr ? "" : text;
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return message;
}

Error cut_short(Wake wake, const std::string& doing) {
  return Error{routing::sqlstate::kQueryCanceled,
               wake == Wake::kStopped ? doing + " was stopped" : doing + " took longer than allowed", "", ""};
}

Error error_of(const PGresult* result) {
  const auto field = [&](int code) {
    const char* value = PQresultErrorField(result, code);
    return std::string(value == nullptr ? "" : value);
  };
  Error error{field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_DETAIL),
              field(PG_DIAG_MESSAGE_HINT)};
  const std::string context = field(PG_DIAG_CONTEXT);
  if (!context.empty()) error.detail += (error.detail.empty() ? "" : "; ") + context;
  if (error.sqlstate.empty()) error.sqlstate = routing::sqlstate::kConnectionFailure;
  if (error.message.empty()) error.message = trimmed(PQresultErrorMessage(result));
  return error;
}

bool is_failure(ExecStatusType status) {
  return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY &&
         status != PGRES_COPY_OUT && status != PGRES_COPY_IN;
}

}  // namespace

std::string ConnectionTarget::to_text() const { return fmt::format("{}@{}:{}/{}", user, host, port, dbname); }

Rows::Rows(pg_result* result) : result_(result, PQclear) {}
int Rows::count() const { return PQntuples(result_.get()); }
bool Rows::is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) == 1; }
std::string_view Rows::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}
int64_t Rows::integer(int row, int column) const {
  const std::string_view value = text(row, column);
  int64_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  return number;
}

void Connection::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection::Connection(pg_conn* connection, WaitLimits limits) : connection_(connection), limits_(limits) {}

Result<Connection> Connection::open(const ConnectionTarget& target, const WaitLimits& limits) {
  bool ignored = false;
  return open(target, limits, ignored);
}

bool Connection::wants_password(ConnectionTarget target, const WaitLimits& limits) {
  target.password = "\x01";  // or libpq would look for one
  bool is_password_wanted = false;
  const auto connection = open(target, limits, is_password_wanted);
  return is_password_wanted;
}

Result<Connection> Connection::open(const ConnectionTarget& target, const WaitLimits& limits,
                                    bool& is_password_wanted) {
  const std::string port = std::to_string(target.port);
  std::vector<const char*> names, values;
  const auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    names.push_back(name);
    values.push_back(value.c_str());
  };
  const std::string application = "mosaic", encoding = "UTF8";
  add("host", target.host);
  add("port", port);
  add("dbname", target.dbname);
  add("user", target.user);
  add("password", target.password);
  add("passfile", target.passfile);
  add("options", target.options);
  add("application_name", application);
  add("client_encoding", encoding);
  const std::string replication = target.is_replication ? "database" : "";
  add("replication", replication);
  names.push_back(nullptr);
  values.push_back(nullptr);

  Connection connection(PQconnectStartParams(names.data(), values.data(), 0), limits);
  pg_conn* handle = connection.connection_.get();
  const auto failed = [&](const std::string& why) {
    return Error{routing::sqlstate::kConnectionFailure, fmt::format("cannot connect to {}", target.to_text()),
                 why, ""};
  };
  if (handle == nullptr) return failed("out of memory");
  const auto deadline = deadline_after(limits.connect);
  PostgresPollingStatusType state =
      PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) {
      is_password_wanted = PQconnectionUsedPassword(handle) != 0;
      // Only an error that the server sent with the login carries a SQLSTATE, and libpq does not show it
      // here.
      return failed(trimmed(PQerrorMessage(handle)));
    }
    const Wake wake =
        wait_for(PQsocket(handle), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, limits.stop);
    if (wake == Wake::kTimeout) return failed(fmt::format("no answer within {} ms", limits.connect.count()));
    if (wake == Wake::kStopped) return cut_short(wake, "connecting");
    state = PQconnectPoll(handle);
  }
  is_password_wanted = PQconnectionUsedPassword(handle) != 0;
  PQsetnonblocking(handle, 1);
  // Notices ("relation already exists, skipping") are expected here and would land on stderr.
  PQsetNoticeProcessor(
      handle, [](void*, const char*) {}, nullptr);
  return connection;
}

Error Connection::lost() const {
  const std::string reason = trimmed(PQerrorMessage(connection_.get()));
  return Error{
      routing::sqlstate::kConnectionFailure,
      fmt::format("the connection to {}:{} is lost", PQhost(connection_.get()), PQport(connection_.get())),
      reason, ""};
}

Status Connection::flush_and_wait(Clock::time_point deadline) {
  pg_conn* handle = connection_.get();
  while (true) {
    const int unsent = PQflush(handle);
    if (unsent < 0) return lost();
    if (unsent == 0 && PQisBusy(handle) == 0) return {};
    const short events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
    const Wake wake = wait_for(PQsocket(handle), events, deadline, limits_.stop);
    if (wake != Wake::kReady) return cut_short(wake, "a statement");
    if (PQconsumeInput(handle) == 0) return lost();
  }
}

Result<Rows> Connection::take_results() {
  const auto deadline = deadline_after(limits_.query);
  std::optional<Error> error;
  std::optional<Rows> rows;
  while (true) {
    if (Status status = flush_and_wait(deadline); !status) return status.error();
    PGresult* result = PQgetResult(connection_.get());
    if (result == nullptr) break;
    Rows taken(result);
    if (is_failure(PQresultStatus(result))) {
      if (!error) error = error_of(result);
    } else if (!rows || PQnfields(result) > 0) {
      rows = std::move(taken);
    }
  }
  if (error) return *error;
  if (!rows) return lost();
  return *rows;
}

Result<Rows> Connection::query(const std::string& statement, const Values& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  if (PQsendQueryParams(connection_.get(), statement.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) == 0)
    return lost();
  return take_results();
}

Status Connection::execute(const std::string& statements) {
  if (PQsendQuery(connection_.get(), statements.c_str()) == 0) return lost();
  if (auto rows = take_results(); !rows) return rows.error();
  return {};
}

Result<Rows> Connection::run(const std::string& statements) {
  if (PQsendQuery(connection_.get(), statements.c_str()) == 0) return lost();
  return take_results();
}

Status Connection::begin_copy(const std::string& statement) {
  if (PQsendQuery(connection_.get(), statement.c_str()) == 0) return lost();
  if (Status status = flush_and_wait(deadline_after(limits_.query)); !status) return status;
  PGresult* begun = PQgetResult(connection_.get());
  const Rows owner(begun);
  if (!is_failure(PQresultStatus(begun))) return {};
  const Error error = error_of(begun);
  static_cast<void>(take_results());  // nothing follows an error
  return error;
}

Status Connection::put_rows(const char* bytes, int count) {
  while (true) {
    const int taken = PQputCopyData(connection_.get(), bytes, count);
    if (taken > 0) return {};
    if (taken < 0) return lost();
    const Wake wake =
        wait_for(PQsocket(connection_.get()), POLLOUT, deadline_after(limits_.query), limits_.stop);
    if (wake != Wake::kReady) return cut_short(wake, "a COPY");
    if (PQflush(connection_.get()) < 0) return lost();
  }
}

// libpq's own buffer has no limit: whoever reads faster than the target takes would fill the memory.
Status Connection::flush_rows() {
  const auto deadline = deadline_after(limits_.query);
  while (true) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) return lost();
    if (unsent == 0) return {};
    const Wake wake = wait_for(PQsocket(connection_.get()), POLLIN | POLLOUT, deadline, limits_.stop);
    if (wake != Wake::kReady) return cut_short(wake, "a COPY");
    if (PQconsumeInput(connection_.get()) == 0) return lost();
  }
}

Status Connection::copy_rows(const std::string& copy_out, Connection& target, const std::string& copy_in,
                             const OnCopied& on_copied) {
  constexpr uint64_t kFlushBytes = 256 << 10;
  uint64_t rows = 0, bytes = 0;  // since the last flush
  const auto flush = [&]() -> Status {
    if (Status status = target.flush_rows(); !status) return status;
    if (on_copied && rows > 0) on_copied(rows, bytes);
    rows = bytes = 0;
    return {};
  };
  if (Status status = begin_copy(copy_out); !status) return status;
  if (Status status = target.begin_copy(copy_in); !status) return status;
  while (true) {
    char* row = nullptr;
    const int count = PQgetCopyData(connection_.get(), &row, 1);
    if (count == -1) break;
    if (count == -2) return lost();
    if (count == 0) {
      const Wake wake =
          wait_for(PQsocket(connection_.get()), POLLIN, deadline_after(limits_.query), limits_.stop);
      if (wake != Wake::kReady) return cut_short(wake, "a COPY");
      if (PQconsumeInput(connection_.get()) == 0) return lost();
      continue;
    }
    Status status = target.put_rows(row, count);
    PQfreemem(row);
    if (!status) return status;
    ++rows;
    bytes += static_cast<uint64_t>(count);
    if (bytes >= kFlushBytes) status = flush();
    if (!status) return status;
  }
  if (Status status = flush(); !status) return status;
  if (auto sent = take_results(); !sent) return sent.error();
  if (PQputCopyEnd(target.connection_.get(), nullptr) < 0) return target.lost();
  if (auto taken = target.take_results(); !taken) return taken.error();
  return {};
}

Result<bool> Connection::wait_for_notification(std::chrono::milliseconds limit, const StopSignal* look_up) {
  const auto deadline = Clock::now() + limit;
  while (true) {
    bool has_any = false;
    while (PGnotify* notification = PQnotifies(connection_.get())) {
      PQfreemem(notification);
      has_any = true;
    }
    if (has_any) return true;
    const Wake wake = wait_for(PQsocket(connection_.get()), POLLIN, deadline, limits_.stop, look_up);
    if (wake != Wake::kReady) return false;
    if (PQconsumeInput(connection_.get()) == 0) return lost();
  }
}

Result<std::optional<Notification>> Connection::next_notification(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (true) {
    if (PGnotify* notification = PQnotifies(connection_.get())) {
      Notification taken{notification->relname, notification->extra};
      PQfreemem(notification);
      return std::optional(std::move(taken));
    }
    const Wake wake = wait_for(PQsocket(connection_.get()), POLLIN, deadline, limits_.stop);
    if (wake != Wake::kReady) return std::optional<Notification>();
    if (PQconsumeInput(connection_.get()) == 0) return lost();
  }
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + routing::quote_identifier(name);
  return list;
}

}  // namespace mosaic::admin
