// COPY FROM STDIN: without a hint the client is told to go on before any server knows of it, and the first
// row decides where it goes.

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Route;
using routing::Status;
namespace sqlstate = routing::sqlstate;

bool Session::is_unrouted_copy(const AnalyzedStatement& statement) const {
  if (statement.plan->is_plain) return false;
  const auto& parts = statement.plan->parts;
  return parts.size() == 1 && parts[0].copy && parts[0].kind == routing::StatementKind::kCopyIn &&
         parts[0].copy->is_sharded && !parts[0].refusal && parts[0].copy->key_column >= 0 &&
         view_.hint().kind == routing::Hint::Kind::kNone &&
         statement.comment_hint.kind == routing::Hint::Kind::kNone && !has_failed_transaction();
}

// As far as it is known without a server.
bool Session::is_read_only() const {
  if (const auto by_mode = transaction_.is_read_only()) return *by_mode;
  const std::string* value = view_.at_begin()->find("default_transaction_read_only");
  if (value == nullptr) return false;
  std::string word = value->substr(1);  // behind the tag
  std::erase(word, '\'');
  return routing::find_boolean(word).value_or(false);
}

Error Session::read_only_copy_error() {
  return Error{"25006", "cannot execute COPY FROM in a read-only transaction", "", ""};
}

void Session::begin_copy(const routing::CopyTarget& target, routing::ShardId shard) {
  copy_ = std::make_unique<CopyIn>(target, shard, view_.encoding());
}

void Session::begin_unrouted_copy(const AnalyzedStatement& statement, bool is_extended) {
  const routing::CopyTarget& target = *statement.plan->parts[0].copy;
  copy_ = std::make_unique<CopyIn>(target, std::nullopt, view_.encoding());
  copy_->text.assign(statement.text);
  copy_->is_extended = is_extended;
  routing::append_copy_in_response(*outbox_.to_client, target.format == routing::CopyTarget::Format::kBinary,
                                   static_cast<uint16_t>(target.column_count));
  outbox_.flush_client = true;
  enter(Phase::kCopyUnrouted);
}

// Messages while the client sends its rows (PostgreSQL manual, "COPY Operations").
Session::Intake Session::on_copy_frame(char type, std::string_view body) {
  switch (type) {
    case 'c':
    case 'f':
      if (phase_ == Phase::kCopyUnrouted) {
        end_unrouted_copy(type, body);
        return Intake::kTaken;
      }
      if (type == 'c') {
        check_copy_rows({});  // the last row may have no line end
        if (phase_ != Phase::kCopyIn) return Intake::kTaken;
      }
      {
        routing::FrameWriter frame(leg_.out(), type);
        leg_.out().append(body);
      }
      // An extended COPY is ended by a Sync of its own; a simple one by ReadyForQuery.
      enter(leg_.owed().front().kind == Kind::kQuery ? Phase::kInFlight : Phase::kGroup);
      return Intake::kTaken;
    case 'H':
    case 'S':
      return Intake::kTaken;  // ignored
    case 'X':
      return dispatch(type, body);
    default:
      // As PostgreSQL: it has lost its place in the stream (CopyGetData() in copyfromparse.c).
      routing::append_error(
          *outbox_.to_client,
          Error{sqlstate::kProtocolViolation,
                fmt::format("unexpected message type 0x{:02X} during COPY from stdin", type), "", ""});
      close_with(Error{sqlstate::kProtocolViolation,
                       "terminating connection because protocol synchronization was lost", "", ""});
      return Intake::kTaken;
  }
}

void Session::on_copy_bytes(std::string_view bytes) {
  if (phase_ == Phase::kCopyUnrouted) {
    const auto shard = copy_->look_ahead(bytes, environment_.max_copy_lookahead_bytes, catalog());
    if (!shard) {
      fail_copy(shard.error());
    } else if (*shard) {
      route_copy();
    }
    return;
  }
  check_copy_rows(bytes);
  if (phase_ == Phase::kCopyIn) forward_copy_bytes(bytes);
}

// The boundaries of CopyData messages mean nothing (PostgreSQL manual, "COPY Operations"): each chunk is sent
// as one.
void Session::forward_copy_bytes(std::string_view bytes) {
  if (bytes.empty()) return;
  routing::FrameWriter frame(leg_.out(), 'd');
  leg_.out().append(bytes);
}

// `bytes` empty: the data has ended.
void Session::check_copy_rows(std::string_view bytes) {
  if (!copy_) return;
  if (const Status status = copy_->check(bytes, catalog()); !status) fail_copy(status.error());
}

// The first row has told the shard.
void Session::route_copy() {
  Route route;
  route.target = Route::Target::kShard;
  route.reason = Route::Reason::kKey;
  route.shard = *copy_->shard();
  route.node = catalog().node_of(route.shard);
  enter(Phase::kCopyUnrouted);
  switch (need_server(route, std::nullopt)) {
    case Server::kWaiting:
      return;
    case Server::kRefused:
      fail_copy(*std::exchange(waiting_.error, nullptr));
      return;
    case Server::kReady:
      break;
  }
  attempt_.stop();
  analysis_.statement = analyze(copy_->text);
  begin_on_leg();
  note_sent(analysis_.statement, nullptr);
  routing::collect_text_changes(analysis_.statement, route, catalog(), analysis_.text_changes);
  if (copy_->is_extended) {
    routing::ByteBuffer text;
    routing::append_qualified(text, analysis_.statement, route, catalog());
    count_query(route);
    begin_timing(leg_.send_statement(text.view(), false), analysis_.statement.use);
    leg_.send_flush();
    enter(Phase::kDraining);
    waiting_.phase_after = Phase::kGroup;
  } else {
    {
      routing::FrameWriter frame(leg_.out(), 'Q');
      routing::append_qualified(leg_.out(), analysis_.statement, route, catalog());
      leg_.out().append_u8(0);
    }
    leg_.server().unnamed.reset();
    count_query(route);
    begin_timing(leg_.expect(Kind::kQuery), analysis_.statement.use);
    enter(Phase::kInFlight);
  }
}

Session::Verdict Session::on_copy_in_response() {
  attempt_.stop();
  ExpectationQueue& owed = leg_.owed();
  const bool is_extended = !owed.is_empty() && owed.front().kind != Kind::kQuery;
  const bool was_unrouted = copy_ && copy_->has_look_ahead();
  if (is_extended) {
    // Drivers send Sync right behind Execute; a server that takes COPY data ignores it. What else was sent
    // makes the COPY fail: the server says so, and skips to the next Sync.
    while (owed.size() > 1 && owed.at(1).kind == Kind::kSync) owed.erase(1);
    for (size_t i = 1; i < owed.size(); ++i) {
      if (owed.at(i).kind != Kind::kLocal) return was_unrouted ? Verdict::kDrop : Verdict::kForward;
    }
  }
  enter(Phase::kCopyIn);
  if (!was_unrouted) return Verdict::kForward;
  // The first row's key is checked again with the rest of what came while it was not known where to.
  const routing::ByteBuffer look_ahead = copy_->take_look_ahead();
  check_copy_rows(look_ahead.view());
  if (phase_ == Phase::kCopyIn) forward_copy_bytes(look_ahead.view());
  if (phase_ == Phase::kCopyIn && copy_ && std::exchange(copy_->is_done, false)) on_copy_frame('c', {});
  return Verdict::kDrop;
}

void Session::fail_copy(const Error& error) {
  ++environment_.refused_statements;
  const bool is_extended = phase_ == Phase::kCopyUnrouted
                               ? copy_->is_extended
                               : leg_.owed().is_empty() || leg_.owed().front().kind != Kind::kQuery;
  copy_.reset();
  if (phase_ == Phase::kCopyUnrouted) {
    enter(is_extended ? Phase::kGroup : Phase::kReady);
    refuse(error, !is_extended);
    return;
  }
  leg_.owed().front().made_effects().refusal = error;
  routing::append_copy_fail(leg_.out(), error.message);
  // What the client still sends of its data is ignored; an extended COPY is ended by the client's Sync.
  enter(is_extended ? Phase::kGroup : Phase::kInFlight);
}

// CopyDone or CopyFail before any row has told a shard.
void Session::end_unrouted_copy(char type, std::string_view body) {
  if (type == 'f') {
    const std::string_view reason = body.substr(0, body.find('\0'));
    fail_copy(Error{sqlstate::kQueryCanceled, fmt::format("COPY from stdin failed: {}", reason), "", ""});
    return;
  }
  const auto shard = copy_->end_look_ahead(catalog());
  if (!shard) {
    fail_copy(shard.error());
    return;
  }
  if (*shard) {
    // One row without a line end: it is routed like any first row, and CopyDone is delivered again behind it.
    copy_->is_done = true;
    route_copy();
    return;
  }
  const bool is_extended = copy_->is_extended;
  copy_.reset();
  routing::append_command_complete(*outbox_.to_client, "COPY 0");
  transaction_.has_snapshot_here = true;
  if (is_extended) {
    group_.has_run_here = true;
    enter(Phase::kGroup);
    return;
  }
  if (leg_.is_busy()) {  // it ends the messages before it as well
    leg_.send_sync();
    enter(Phase::kInFlight);
    return;
  }
  append_ready();
  begin_group();
  come_to_rest();
}

}  // namespace mosaic::proxy
