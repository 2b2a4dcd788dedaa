#pragma once
// One client's connection, through libpq without blocking: connect, send one statement, take its outcome. The
// only place of the workload's clients that calls libpq. Knows nothing of photos; driven by PhotoClient.

#include <libpq-fe.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/workload/statement.h"

namespace mosaic::workload {

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;
// A value as text, empty for NULL; points into the result.
std::string_view field(const PGresult* result, int row, int column);
struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using ConnectionPtr = std::unique_ptr<PGconn, ConnectionDeleter>;

// What became of one statement.
struct Outcome {
  enum class Kind : uint8_t {
    kDone,   // `result` holds the rows or the command's tag
    kError,  // the server's (or Mosaic's) error; the connection is usable
    kLost,   // the connection broke: whether the statement ran is unknown
  };
  Kind kind = Kind::kDone;
  ResultPtr result;
  std::string sqlstate;  // kError and kLost (there empty when libpq has none)
  std::string message;
};

class Connection {
 public:
  // `sends_binary`: integers go as binary int8 parameters in extended mode, instead of as text without a
  // type.
  Connection(std::string conninfo, bool sends_binary)
      : conninfo_(std::move(conninfo)), sends_binary_(sends_binary) {}

  // Begins to connect, dropping what was. Then on_ready() until is_connected() or an Outcome of kLost.
  void connect();
  bool is_connected() const { return phase_ == Phase::kIdle; }
  bool is_lost() const { return phase_ == Phase::kLost; }
  // An answer is awaited: to a statement or to the attempt to connect.
  bool is_waiting() const { return phase_ != Phase::kLost && phase_ != Phase::kIdle; }
  void close();

  // -1 while there is none.
  int socket() const;
  bool wants_write() const { return wants_write_; }
  // on_ready() has something to say that no socket will announce: a send failed, or there is no socket to
  // begin with.
  bool needs_attention() const { return phase_ != Phase::kLost && (has_failed_send_ || socket() < 0); }

  // Sends a statement; is_connected() must hold. Its outcome comes from on_ready(), never from here.
  void send(const BoundStatement& statement, QueryMode mode);

  // To be called whenever the socket is readable, or writable while wants_write(). An outcome ends the
  // statement in flight, or (kLost) the connection.
  std::optional<Outcome> on_ready();

 private:
  enum class Phase : uint8_t { kLost, kConnecting, kIdle, kPreparing, kExecuting };

  std::optional<Outcome> on_connecting();
  bool send_prepare(StatementId id);
  bool send_execute(const BoundStatement& statement, QueryMode mode);
  void flush();
  Outcome lose();

  std::string conninfo_;
  bool sends_binary_;
  ConnectionPtr connection_;
  Phase phase_ = Phase::kLost;
  bool wants_write_ = false;
  bool has_failed_send_ = false;
  std::array<bool, kStatementCount> is_prepared_{};
  std::optional<BoundStatement> held_;  // kPreparing: to be executed next
  ResultPtr result_;                    // the statement's first result, until libpq says it was the last
};

// Opens a blocking connection, for set-up and verification. Throws std::runtime_error with libpq's message.
ConnectionPtr connect_blocking(const std::string& conninfo);
// Runs one statement on it. Throws std::runtime_error with the server's message and the statement.
ResultPtr execute_blocking(PGconn* connection, const std::string& text);

}  // namespace mosaic::workload
