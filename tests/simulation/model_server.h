#pragma once
// A PostgreSQL session in memory, as far as the simulation's clients go: simple and extended protocol, COPY
// in, transactions with savepoints, settings, errors, a statement that runs until it is cancelled. Bytes in,
// bytes out, no clock. It plays two parts: a server behind Mosaic, and the plain PostgreSQL that a client is
// compared with, which answers the refusals that only Mosaic makes (Rules) as well.

#include <deque>
#include <functional>
#include <map>
#include <optional>
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
  char status() const { return status_; }
  const std::map<std::string, std::string>& settings() const { return settings_; }
  size_t named_statements() const { return statements_.size() - statements_.count(""); }
  std::optional<uint16_t> transaction_node() const { return transaction_node_; }  // kPlain
  const std::deque<std::string>& history() const { return history_; }             // what it was told lately
  const std::string& complaint() const { return complaint_; }  // what no right proxy does; empty: nothing

 private:
  using Settings = std::map<std::string, std::string>;
  struct Portal {
    std::string text;
    std::vector<std::string> values;
  };
  struct Mark {
    std::string savepoint;
    Settings settings;
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
  // One statement; false: it failed.
  bool run_statement(std::string_view text, const std::vector<std::string>& values, bool is_described,
                     routing::ByteBuffer& out);
  bool run_transaction_statement(std::string_view text, routing::ByteBuffer& out, bool& is_known);
  bool run_setting(std::string_view text, routing::ByteBuffer& out);
  bool run_on_table(std::string_view text, const std::vector<std::string>& values, bool is_described,
                    routing::ByteBuffer& out);
  bool fail(std::string_view sqlstate, std::string_view message, routing::ByteBuffer& out);
  void fail_group() { is_skipping_ = true; }
  std::optional<std::string> refusal_of(std::string_view text, std::optional<int64_t> user);
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
  std::string late_;             // what will fail when the implicit transaction commits
  std::string copied_;           // rows so far
  Settings settings_, settled_;  // settled_: what a rollback goes back to
  std::vector<Mark> marks_;
  std::optional<uint16_t> transaction_node_;  // kPlain
  std::map<std::string, std::string> statements_;
  std::map<std::string, Portal> portals_;
  std::deque<std::string> history_;
  std::string complaint_;
};

}  // namespace mosaic::simulation
