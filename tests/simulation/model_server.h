#pragma once
// A PostgreSQL session in memory, as far as the simulation's clients go: simple and extended protocol, COPY
// in, transactions with savepoints, settings, portals with row limits, errors, a statement that runs until it
// is cancelled, functions that leave traces in the session. Bytes in, bytes out, no clock. It plays two
// parts: a server behind Mosaic, and the plain PostgreSQL that a client is compared with, which answers the
// refusals that only Mosaic makes (Rules) as well.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "routing/byte_buffer.h"
#include "routing/postgres/wire/frame.h"

namespace mosaic::simulation {

// What decides where a statement belongs.
struct Rules {
  std::function<std::string(int64_t user)> schema_of;
  std::function<uint16_t(int64_t user)> node_of;
};

class ModelServer {
 public:
  enum class Role : uint8_t {
    kNode,   // behind Mosaic: `node`'s shards, by schema
    kPlain,  // without shards: what a client's replies are compared with
  };
  ModelServer(Role role, const Rules& rules, uint16_t node) : role_(role), rules_(&rules), node_(node) {}

  // Takes whole frames off the front of `in` and answers them. Stops at a statement that runs until cancel().
  void run(routing::ByteBuffer& in, routing::ByteBuffer& out);
  void cancel(routing::ByteBuffer& out);

  bool is_running() const { return is_running_; }
  // Nothing of the last client's is left: no transaction, COPY, failed group or running statement.
  bool is_at_rest() const { return status_ == 'I' && !is_copying_ && !is_skipping_ && !is_running_; }
  // What functions have left in the session, and channels: nobody else may find it.
  std::string traces() const;
  bool is_listening() const { return settled_.is_listening; }
  char status() const { return status_; }
  const std::map<std::string, std::string>& settings() const { return state_.settings; }
  size_t named_statements() const { return statements_.size() - statements_.count(""); }
  std::optional<uint16_t> transaction_node() const { return transaction_node_; }  // kPlain
  const std::deque<std::string>& history() const { return history_; }             // what it was told lately
  const std::string& complaint() const { return complaint_; }  // what no right proxy does; empty: nothing

 private:
  using Settings = std::map<std::string, std::string>;
  struct Portal {
    std::string text;
    std::vector<std::string> values;
    int sent_rows = 0;  // a row limit leaves the rest for the next Execute
  };
  // What transactions and savepoints take back.
  struct State {
    Settings settings;  // as statements see them
    Settings session;   // without SET LOCAL
    bool is_listening = false;
  };
  struct Mark {
    std::string savepoint;
    State state;
  };

  void on_frame(char type, std::string_view body, routing::ByteBuffer& out);
  void on_query(std::string_view text, routing::ByteBuffer& out);
  void on_parse(std::string_view body, routing::ByteBuffer& out);
  void on_bind(std::string_view body, routing::ByteBuffer& out);
  void on_describe(std::string_view body, routing::ByteBuffer& out);
  void on_execute(std::string_view body, routing::ByteBuffer& out);
  void on_copy(char type, std::string_view body, routing::ByteBuffer& out);
  void end_group(routing::ByteBuffer& out);  // an implicit transaction ends here; ReadyForQuery
  void end_transaction(bool is_commit);
  // One statement; false: it failed. `row_limit` 0: none.
  bool run_statement(Portal& portal, bool is_described, int row_limit, routing::ByteBuffer& out);
  bool run_transaction_statement(std::string_view text, routing::ByteBuffer& out, bool& is_known);
  bool run_setting(std::string_view text, routing::ByteBuffer& out);
  // What Mosaic asks and does by itself (group_endings.cpp).
  bool run_housekeeping(std::string_view text, routing::ByteBuffer& out, bool& is_known);
  bool run_session_statement(std::string_view text, routing::ByteBuffer& out, bool& is_known);
  bool run_on_table(Portal& portal, bool is_described, int row_limit, routing::ByteBuffer& out);
  static void answer_row(std::string_view value, std::string_view tag, routing::ByteBuffer& out);
  bool fail(std::string_view sqlstate, std::string_view message, routing::ByteBuffer& out);
  void fail_group() { is_skipping_ = true; }
  std::optional<std::string> refusal_of(std::string_view text, std::optional<int64_t> user);
  std::optional<std::string> refusal_of_node(uint16_t node);
  void check_schema(std::string_view text, int64_t user);
  void complain(std::string what);

  Role role_;
  const Rules* rules_;
  uint16_t node_;
  char status_ = 'I';
  bool is_skipping_ = false;  // to the next Sync
  bool is_running_ = false;   // until cancelled
  bool is_simple_ = true;     // what runs or copies came as a Query
  bool is_copying_ = false;
  std::string late_;       // what will fail when the implicit transaction commits
  std::string copied_;     // rows so far
  State state_, settled_;  // settled_: what a rollback goes back to
  std::set<std::string> traces_;
  std::vector<Mark> marks_;
  std::optional<uint16_t> transaction_node_;  // kPlain
  std::map<std::string, std::string> statements_;
  std::map<std::string, Portal> portals_;
  std::deque<std::string> history_;
  std::string complaint_;
};

}  // namespace mosaic::simulation
