#pragma once
// One blocking libpq connection for control-plane work: the only place in admin/ that calls PQ functions.
// Every wait has a deadline and can be interrupted by a StopSignal, so that no thread hangs on a dead node.
// One thread at a time.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/stop_signal.h"
#include "routing/result.h"

struct pg_conn;
struct pg_result;

namespace mosaic::admin {

struct ConnectionTarget {
  std::string host;
  uint16_t port = 5432;
  std::string dbname;
  std::string user;
  std::string password;         // empty: what libpq finds
  std::string passfile;         // empty: libpq's default
  std::string options;          // PostgreSQL settings: "-c name=value"
  bool is_replication = false;  // takes commands of the streaming replication protocol as well
  std::string to_text() const;  // "postgres@127.0.0.1:5432/app", for messages
};

// How long to wait, and what ends a wait early. `stop` may be null and must outlive the connection.
struct WaitLimits {
  std::chrono::milliseconds connect{5000};
  std::chrono::milliseconds query{0};  // 0: no limit
  const StopSignal* stop = nullptr;
};

// The rows of one result, in text form; the object owns them.
class Rows {
 public:
  explicit Rows(pg_result* result);
  int count() const;
  // Empty for NULL: ask is_null() where that matters.
  std::string_view text(int row, int column) const;
  bool is_null(int row, int column) const;
  int64_t integer(int row, int column) const;  // 0 when it is no number

 private:
  std::shared_ptr<pg_result> result_;
};

struct Notification {
  std::string channel;
  std::string payload;
};

class Connection {
 public:
  static routing::Result<Connection> open(const ConnectionTarget& target, const WaitLimits& limits);
  // The server at `target` asks this user for a password (and is given a wrong one); false also when it can
  // not be reached.
  static bool wants_password(ConnectionTarget target, const WaitLimits& limits);
  Connection(Connection&&) = default;
  Connection& operator=(Connection&&) = default;

  using Values = std::vector<std::optional<std::string>>;

  // One statement with parameters $1 ... in text form. Errors: the server's own SQLSTATE, message, detail and
  // hint; kConnectionFailure when it is lost, kQueryCanceled when stopped or too slow (the connection is then
  // unusable).
  routing::Result<Rows> query(const std::string& statement, const Values& parameters = {});
  // One or several statements separated by semicolons, in one round trip; results are dropped.
  routing::Status execute(const std::string& statements);
  // The same, with the rows of the last that has any.
  routing::Result<Rows> run(const std::string& statements);
  // Hands what `copy_out` (COPY ... TO STDOUT) gives here to `copy_in` (COPY ... FROM STDIN) at `target`.
  // After an error neither connection's transaction is of any more use. `on_copied` is told now and then how
  // many more rows and bytes have gone, and may take its time.
  using OnCopied = std::function<void(uint64_t rows, uint64_t bytes)>;
  routing::Status copy_rows(const std::string& copy_out, Connection& target, const std::string& copy_in,
                            const OnCopied& on_copied = {});
  // Waits for a notification on any channel that this connection listens to. False: none came in time, or
  // stopped, or `look_up` is raised. Errors: the connection is lost.
  routing::Result<bool> wait_for_notification(std::chrono::milliseconds limit,
                                              const StopSignal* look_up = nullptr);
  // The next one, in their order; nothing where the other returns false.
  routing::Result<std::optional<Notification>> next_notification(std::chrono::milliseconds limit);

 private:
  Connection(pg_conn* connection, WaitLimits limits);
  static routing::Result<Connection> open(const ConnectionTarget& target, const WaitLimits& limits,
                                          bool& is_password_wanted);
  routing::Status flush_and_wait(std::chrono::steady_clock::time_point deadline);
  routing::Result<Rows> take_results();
  routing::Status begin_copy(const std::string& statement);
  routing::Status put_rows(const char* bytes, int count);
  routing::Status flush_rows();
  routing::Error lost() const;

  struct Close {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, Close> connection_;
  WaitLimits limits_;
};

// "schema" for use in a statement.
std::string quoted_list(const std::vector<std::string>& names);  // "a", "b"

}  // namespace mosaic::admin
