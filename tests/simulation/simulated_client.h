#pragma once
// One client: sends random acts (statements in every protocol, transactions, COPY, errors, pipelines), waits
// as a driver would, and compares every frame that it gets with what a plain PostgreSQL gives for the same
// messages. Knows nothing of sessions or servers.

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "routing/byte_buffer.h"
#include "tests/simulation/model_server.h"
#include "tests/simulation/random.h"

namespace mosaic::simulation {

class SimulatedClient {
 public:
  // `users`: by node; the client speaks of these only.
  SimulatedClient(int number, const Rules& rules, std::vector<std::vector<int64_t>> users, Random& random);

  // Next bytes for the proxy; empty while it waits for a reply.
  std::string next_bytes();
  void on_bytes(std::string_view bytes);  // in any pieces
  void on_connect();                      // on a new connection: nothing is owed
  void on_closed();                       // by the proxy

  // Something has happened that a plain PostgreSQL knows nothing of: until the client has found its way back
  // (all replies came, ROLLBACK, DISCARD ALL), contents are not compared, but their number and their owner
  // are.
  void disturb(bool may_close);
  // No more acts: ends its transaction and waits to be closed.
  void finish() { is_finishing_ = true; }

  bool has_left() const { return has_left_; }  // by Terminate
  bool wants_cancel() const { return is_slow_ && owed_ready_ > 0; }
  bool is_waiting() const { return wait_ != Wait::kNothing; }
  std::string story() const;  // what it did lately, and what it waits for
  const std::string& complaint() const { return complaint_; }
  uint64_t compared_frames() const { return compared_frames_; }

 private:
  enum class Wait : uint8_t { kNothing, kReady, kCopy, kDescription };
  struct Step {
    std::string bytes;
    Wait wait = Wait::kReady;
    bool only_if_ok = false;  // the step before was not answered by an error
  };

  void plan();
  void plan_resync();
  void plan_simple();
  void plan_insert();
  void plan_transaction_statement();
  void plan_copy();
  void plan_prepared();
  void plan_flush();
  void plan_pipeline();
  void plan_session_statement();
  void plan_portions();
  void plan_names();
  void add(std::string bytes, Wait wait = Wait::kReady, bool only_if_ok = false);
  void query(std::string_view text) { add(query_bytes(text)); }
  void tell_model(std::string_view bytes);
  void on_frame(char type, std::string_view body);
  void compare(char type, std::string_view body);
  bool is_answered() const;
  void start_afresh();
  void remember(std::string_view bytes);
  void complain(std::string what);

  std::string query_bytes(std::string_view text) const;
  std::string parse_bytes(std::string_view name, std::string_view text) const;
  std::string bind_bytes(std::string_view statement, int64_t user, std::string_view token) const;
  std::string execute_bytes(uint32_t row_limit) const;
  std::string statement_bytes(std::string_view text) const;  // Parse, Bind, Execute
  static std::string constant_text(std::string_view token);
  std::string select_text(int64_t user, std::string_view token);
  static std::string insert_text(int64_t user, std::string_view token);
  int64_t user();  // on the transaction's node
  int64_t user_on_node();
  std::string token(std::string_view suffix = "");

  int number_;
  const Rules& rules_;
  std::vector<std::vector<int64_t>> users_;
  Random& random_;
  ModelServer model_;
  routing::ByteBuffer expected_, received_;
  std::deque<Step> steps_;
  std::deque<std::string> history_;  // what was sent lately
  Wait wait_ = Wait::kNothing;
  char answer_ = 0;  // the latest frame's type that may end a wait
  size_t owed_ready_ = 0;
  size_t node_ = 0;
  char status_ = 'I';
  uint64_t tokens_ = 0, compared_frames_ = 0;
  bool is_disturbed_ = false, may_close_ = false, is_finishing_ = false, has_left_ = false, is_slow_ = false,
       is_resyncing_ = false;
  std::string complaint_;
};

}  // namespace mosaic::simulation
