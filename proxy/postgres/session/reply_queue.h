#pragma once
// What a session still expects from its server, in order, with the replies it gives itself in between. One
// entry per message sent; entries leave when the server has answered them (PostgreSQL manual, "Message
// Flow").

#include <cstdint>
#include <vector>

#include "pool/postgres/statement_list.h"

namespace mosaic::proxy {

struct PreparedStatement;

struct Reply {
  enum class Kind : uint8_t {
    kParse,
    kBind,
    kDescribeStatement,
    kDescribePortal,
    kExecute,
    kClose,
    kSync,
    kQuery,
    kPoison,        // a message made to fail: its error is replaced by the session's refusal
    kSettings,      // SETs of ours behind the client's own statement; its Ready is the client's
    kRehearsalEnd,  // the ROLLBACK of ours that ends a rehearsal of the held transaction
    kLocal,         // `local_bytes` of the session's own replies
  };
  Kind kind = Kind::kSync;
  bool is_ours = false;     // the client did not ask for it: success is not forwarded
  bool is_unnamed = false;  // kParse: into the server's unnamed statement
  pool::StatementKey key;   // kParse, kBind, kDescribeStatement, kClose: which statement of the server
  PreparedStatement* statement = nullptr;  // kParse, kDescribeStatement, kBind of ours: held by a reference
  uint32_t local_bytes = 0;
  bool is_bound = false;  // kQuery: its messages are Bind, Describe, Execute and Sync
  bool is_unrun = false;  // kQuery that is bound: not executed, to be sent as the client wrote it
};

class ReplyQueue {
 public:
  bool is_empty() const { return first_ == replies_.size(); }
  Reply& front() { return replies_[first_]; }
  Reply& back() { return replies_.back(); }
  size_t size() const { return replies_.size() - first_; }
  void push(Reply reply) { replies_.push_back(reply); }
  void pop() {
    if (++first_ == replies_.size()) clear();
  }
  void release_memory() {
    if (is_empty()) replies_ = {};
  }
  void clear() {
    replies_.clear();
    first_ = 0;
  }

 private:
  std::vector<Reply> replies_;  // keeps its memory: no allocation in steady state
  size_t first_ = 0;
};

}  // namespace mosaic::proxy
