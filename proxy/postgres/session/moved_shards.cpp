// A session whose shard moves to another node: it waits while the shard is held, and what the old node
// refused is sent again where the shard is now. The old node refuses by a trigger (MZ001) and, once the shard
// has gone, by privileges (42501); either way nothing has been executed.

#include <fmt/format.h>

#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::ShardId;
namespace sqlstate = routing::sqlstate;

namespace {

// How often a node is asked that has refused by what may also be said for another reason; then it is told.
// The shard's schema is named in no text but Mosaic's, so there it may take the map's time to come.
constexpr uint32_t kDenialsMax = 2, kMissingMax = 20;

}  // namespace

// Whether the newest map gives a reason for the node that this session has asked to refuse the shard.
bool Session::may_be_gone(ShardId shard) const {
  const routing::ShardPlace& newest = environment_.catalog->place_of(shard);
  return newest.is_held || newest.is_in_doubt || newest.node != catalog().place_of(shard).node;
}

// How often a refusal of this kind is not told; 0: it says nothing of the shard's place. Where the map knows
// of a reason only time limits it.
uint32_t Session::denials_for(const Error& error, ShardId shard) const {
  const bool is_denial = error.sqlstate == sqlstate::kInsufficientPrivilege;
  const bool is_missing = error.sqlstate == sqlstate::kUndefinedTable ||
                          error.sqlstate == sqlstate::kUndefinedSchema ||
                          error.sqlstate == sqlstate::kUndefinedFunction;
  const bool names_schema = error.message.find(catalog().schema_of(shard)) != std::string::npos;
  if (!is_denial && !(is_missing && names_schema)) return 0;
  if (may_be_gone(shard)) return UINT32_MAX;
  return names_schema ? kMissingMax : kDenialsMax - 1;
}

// Whether the server has refused this attempt because its shard is about to go, or has gone.
bool Session::is_fenced(Expectation& front, std::string_view body) {
  if (!attempt_.is_kept() || last_shard_ < 0 || !leg_.remains.pins.is_empty()) return false;
  const Error error = routing::parse_error_fields(body);
  const ShardId shard{static_cast<uint32_t>(last_shard_)};
  if (error.sqlstate != sqlstate::kShardFenced && fence_.denials++ >= denials_for(error, shard)) return false;
  ++fence_.refusals;
  group_.fenced_shard = shard;
  // A Parse that the client sent before there was a server is not sent again: it counts as done, and what is
  // wrong with it another server will say.
  if (front.kind == Kind::kParse && !front.is_ours && !attempt_.begins_with('P')) {
    if (front.effects) front.effects->names.clear();
    outbox_.to_client->append(kParseComplete);
  }
  return true;
}

// Whether what the server has refused amid a transaction was refused because the shard is leaving it.
bool Session::is_for_moving(const Error& error) const {
  if (error.sqlstate == sqlstate::kShardFenced) return true;
  if (last_shard_ < 0 || static_cast<uint32_t>(last_shard_) >= environment_.catalog->shard_count())
    return false;
  const ShardId shard{static_cast<uint32_t>(last_shard_)};
  return denials_for(error, shard) != 0 && may_be_gone(shard);
}

// What a client is told that can not be sent again: something else was done in its transaction before.
Error Session::moved_error() const {
  return Error{sqlstate::kSerializationFailure,
               fmt::format("could not serialize access: shard {} is moving to another node", last_shard_),
               "The transaction had begun before the shard was closed there; nothing of it is kept.",
               "The transaction might succeed if retried."};
}

// The server has answered all of the attempt, or can not any more: its messages are looked at again.
void Session::take_attempt_back() {
  if (const std::optional<ShardId> shard = group_.fenced_shard) {
    ++environment_.moving[shard->value].replayed;
    fence_.shard = *shard;
    fence_.refused_at = catalog().place_of(*shard).epoch;
    statements_.drop_portals();
  }
  const bool is_in_transaction = attempt_.is_in_transaction();
  const bool is_as_written = group_.is_as_written;
  portals_.effects.clear();
  attempt_.hand_over(outbox_.redeliver);
  begin_group();
  group_.is_as_written = is_as_written;
  waiting_.phase_after = Phase::kReady;
  if (is_in_transaction) {
    transaction_.unbind();
  } else {
    if (transaction_.may_leave_traces()) leg_.remains.is_unclean = true;
    transaction_.reset();
  }
}

// The shard is not here: it is begun again elsewhere.
void Session::try_elsewhere(char status) {
  flush_local_replies();
  take_attempt_back();
  if (status == 'I') {
    view_.roll_back(&leg_.server().settings);
    leave();
    return;
  }
  leg_.send_own_query(Purpose::kTakeBack, "ROLLBACK");
  enter(Phase::kLeaving);
}

// The shard is open again, or somewhere else, or it is time to ask once more: the message at hand is looked
// at again, with the newest map.
void Session::on_gate_open() {
  assert(phase_ == Phase::kWaiting && !leg_.is_held());
  waiting_.route.reset();
  fence_.refused_at = {};
  go_on_elsewhere();
}

}  // namespace mosaic::proxy
