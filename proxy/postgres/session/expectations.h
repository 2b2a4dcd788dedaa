#pragma once
// What a server owes, in order, with the replies that the session gives itself in between: one entry per
// message sent (PostgreSQL manual, "Message Flow"). An entry carries what its answer confirms; a message that
// the server skips behind an error confirms nothing, and what was assumed of it is taken back.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pool/postgres/statement_list.h"
#include "routing/postgres/shape_use.h"
#include "routing/result.h"

namespace mosaic::proxy {

struct PreparedStatement;

// What a statement does to the session or its transaction once the server has confirmed it.
struct Effect {
  enum class Kind : uint8_t {
    kSet,    // `name` = `value` (tagged, see client_view.h)
    kReset,  // `name`
    kResetAll,
    kSavepoint,   // `name`
    kRelease,     // `name`
    kRollbackTo,  // `name`
    kSpoken,      // `value`: the statement's text, for another server to be told the same
    kMode,        // likewise, of what kind the transaction is
    kDdl,
    kForgetPlans,  // the server has dropped all its prepared statements
    kDiscardAll,   // and all else that a session has
  };
  Kind kind = Kind::kSet;
  size_t part = 0;  // of a query of several statements: whose completion confirms it
  std::string name;
  std::string value;
};

// The client's prepared statements go with it.
inline bool drops_names(const Effect& effect) {
  return effect.kind == Effect::Kind::kForgetPlans || effect.kind == Effect::Kind::kDiscardAll;
}

// A name that was given or taken ahead of its confirmation, and the statement it stood for before.
struct NameChange {
  std::string name;
  PreparedStatement* before = nullptr;  // with a reference; null: the name was free
};

// Most messages have none, so that they are kept apart.
struct Effects {
  std::vector<Effect> on_complete;
  std::vector<NameChange> names;          // taken back, last first, when the message is skipped
  std::optional<std::string> portal;      // of one answered here, dropped when the message is skipped
  std::optional<routing::Error> refusal;  // the client gets this in place of the server's error
};

struct Expectation {
  enum class Kind : uint8_t {
    kParse,
    kBind,
    kDescribeStatement,
    kDescribePortal,
    kExecute,
    kClose,
    kSync,
    kQuery,     // and a function call: until ReadyForQuery
    kOwnQuery,  // the session's own, see `purpose`
    kLocal,     // `local_bytes` of the session's own replies
  };
  enum class Purpose : uint8_t {
    kAssign,     // the client's settings, before its first statement
    kSettle,     // the same, behind its statement
    kLeave,      // the transaction goes to another node: a Sync
    kTakeBack,   // the same, its ROLLBACK
    kSegment,    // ends the messages before a simple query that is answered here: a Sync
    kRetry,      // the Sync behind an attempt that is made again
    kLook,       // what is left in the server session?
    kReadBack,   // what set_config() amid a statement has set
    kRest,       // brings the server session to rest
    kSearch,     // which node has a prepared transaction?
    kForget,     // what an earlier client's nextval() has left
    kFail,       // makes the server fail as the client's transaction has failed
    kAbandoned,  // the end of a client's transaction whose client has gone
  };
  Kind kind = Kind::kSync;
  Purpose purpose = Purpose::kAssign;  // kOwnQuery, and kSync that is ours
  bool is_ours = false;                // the client did not ask for it: success is not forwarded
  bool is_unnamed = false;             // kParse, kBind, kDescribeStatement: the server's unnamed statement
  bool is_client_unnamed = false;      // kParse: the client's unnamed statement, gone when it fails
  bool is_renamed = false;             // of PREPARE or EXECUTE, which were given the server's name
  bool is_bound = false;               // kQuery: its messages are Bind, Describe, Execute and Sync
  bool is_timed = false;               // its answer ends a statement that is counted
  uint16_t completed_parts = 0;        // kQuery
  uint32_t local_bytes = 0;            // kLocal; kQuery that is bound: of its CommandComplete
  pool::StatementKey key;              // kParse, kBind, kDescribeStatement, kClose: which of the server's
  PreparedStatement* statement = nullptr;  // kParse, kDescribeStatement, kBind of ours: with a reference
  std::unique_ptr<Effects> effects;
  // While it is timed.
  routing::ShapeUseRef use;  // null: its shape is not kept
  int shard = -1;
  uint64_t sent_us = 0;

  Effects& made_effects() {
    if (!effects) effects = std::make_unique<Effects>();
    return *effects;
  }
};

// A ring: takes and gives without moving what is in it, and keeps its memory, so that nothing is allocated in
// steady state.
class ExpectationQueue {
 public:
  bool is_empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  Expectation& front() { return at(0); }
  const Expectation& front() const { return ring_[first_ & mask()]; }
  Expectation& back() { return at(size_ - 1); }
  const Expectation& back() const { return ring_[(first_ + size_ - 1) & mask()]; }
  Expectation& at(size_t index) { return ring_[(first_ + index) & mask()]; }
  const Expectation& at(size_t index) const { return ring_[(first_ + index) & mask()]; }
  Expectation& push(Expectation expectation) {
    if (size_ == ring_.size()) grow();
    Expectation& place = ring_[(first_ + size_++) & mask()];
    place = std::move(expectation);
    return place;
  }
  void pop() {
    front().effects.reset();
    front().use = {};
    first_ = (first_ + 1) & mask();
    --size_;
  }
  void erase(size_t index) {
    for (size_t i = index; i + 1 < size_; ++i) at(i) = std::move(at(i + 1));
    back().effects.reset();
    --size_;
  }
  void release_memory() {
    if (!is_empty()) return;
    std::vector<Expectation>().swap(ring_);
    first_ = 0;
  }

 private:
  size_t mask() const { return ring_.size() - 1; }
  void grow() {
    std::vector<Expectation> larger(ring_.empty() ? 8 : 2 * ring_.size());
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move(at(i));
    ring_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Expectation> ring_;  // its size is a power of two
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace mosaic::proxy
