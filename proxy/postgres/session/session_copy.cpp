// COPY FROM STDIN into a sharded table: every row's key is checked against the shard that the data goes to,
// and without a hint the first row decides where that is.

#include <fmt/format.h>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Result;
using routing::Route;
namespace sqlstate = routing::sqlstate;

void Session::begin_copy_check(const routing::CopyTarget& target, routing::ShardId shard) {
  copy_ = std::make_unique<CopyState>();
  copy_->shard = shard;
  copy_->table = target.table;
  copy_failed_ = false;
  // Without the key among its columns the rows can not say where they belong: the hint alone decides.
  if (target.key_column >= 0) copy_->rows.emplace(target, encoding_);
}

// The client is told to go on before any server knows of the COPY.
Session::Intake Session::begin_unrouted_copy(const AnalyzedStatement& statement) {
  const routing::CopyTarget& target = *statement.plan->parts[0].copy;
  begin_copy_check(target, routing::ShardId{0});
  copy_->shard.reset();
  copy_->text.assign(statement.text);
  routing::append_copy_in_response(*outbox_.to_client, target.format == routing::CopyTarget::Format::kBinary,
                                   static_cast<uint16_t>(target.column_count));
  enter(Phase::kCopyUnrouted);
  return Intake::kTaken;
}

void Session::on_copy_bytes(std::string_view bytes) {
  if (phase_ == Phase::kCopyUnrouted) {
    copy_->lookahead.append(bytes);
    std::string_view chunk = bytes;
    const Result<std::optional<routing::CopyKey>> key = copy_->rows->next(chunk);
    if (!key) {
      fail_copy(key.error());
    } else if (*key && (*key)->is_null) {
      fail_copy(Error{
          sqlstate::kUnusableKey,
          fmt::format("COPY: the shard key \"{}\" is null in row 1", catalog().tables()[copy_->table].key),
          "", ""});
    } else if (*key) {
      route_copy((*key)->value, (*key)->is_binary);
    } else if (copy_->lookahead.size() > environment_.max_copy_lookahead_bytes) {
      fail_copy(Error{
          sqlstate::kLimitExceeded, "COPY: the first row does not end",
          fmt::format("{} bytes without a shard key", copy_->lookahead.size()),
          fmt::format("say the shard first: SET mosaic.{} = ...", catalog().tables()[copy_->table].key)});
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
  routing::FrameWriter frame(*outbox_.to_server, 'd');
  outbox_.to_server->append(bytes);
}

// `bytes` empty: the data has ended.
void Session::check_copy_rows(std::string_view bytes) {
  if (!copy_ || !copy_->rows) return;
  const routing::Table& table = catalog().tables()[copy_->table];
  const bool is_end = bytes.empty();
  std::string_view chunk = bytes;
  for (;;) {
    const Result<std::optional<routing::CopyKey>> key =
        is_end ? copy_->rows->finish() : copy_->rows->next(chunk);
    if (!key) {
      fail_copy(key.error());
      return;
    }
    if (!*key) return;
    const routing::CopyKey& found = **key;
    // Rows of one key often come together: it is on the right shard as it was before.
    if (!found.is_null && !copy_->checked_key.empty() && found.value == copy_->checked_key) {
      if (is_end) return;
      continue;
    }
    if (found.is_null) {
      fail_copy(Error{sqlstate::kUnusableKey,
                      fmt::format("COPY: the shard key \"{}\" is null in row {}", table.key, found.row), "",
                      ""});
      return;
    }
    const auto value = found.is_binary ? routing::parse_key_binary(table.key_type, 0, found.value)
                                       : routing::parse_key_text(table.key_type, found.value);
    if (!value) {
      Error error = value.error();
      error.detail = fmt::format("COPY {}, row {}, column {}{}{}", table.name, found.row, table.key,
                                 error.detail.empty() ? "" : ": ", error.detail);
      fail_copy(error);
      return;
    }
    const routing::ShardId shard =
        routing::shard_of(catalog().shard_function(), *value, catalog().shard_count());
    if (shard != *copy_->shard) {
      fail_copy(Error{sqlstate::kManyShards,
                      fmt::format("COPY {}: row {} belongs to shard {}, this COPY goes to shard {}",
                                  table.name, found.row, shard.value, copy_->shard->value),
                      found.is_binary ? "" : fmt::format("{} = {}", table.key, found.value),
                      "sort the rows by shard and use one COPY for each; nothing of this COPY was stored"});
      return;
    }
    copy_->checked_key = found.value;
    if (is_end) return;
  }
}

// With a key: the first row has told the shard; asks for its server. Without: the server is there.
void Session::route_copy(std::string_view key, bool is_binary) {
  if (server_ == nullptr || !copy_->shard) {
    const routing::Table& table = catalog().tables()[copy_->table];
    const auto value = is_binary ? routing::parse_key_binary(table.key_type, 0, key)
                                 : routing::parse_key_text(table.key_type, key);
    if (!value) {
      fail_copy(value.error());
      return;
    }
    copy_->shard = routing::shard_of(catalog().shard_function(), *value, catalog().shard_count());
    Route route;
    route.target = Route::Target::kShard;
    route.reason = Route::Reason::kKey;
    route.shard = *copy_->shard;
    route.node = catalog().node_of(*copy_->shard);
    pending_route_ = route;
    const Server server = need_server(route, std::nullopt, HeldUse::kBegin);
    if (server == Server::kWaiting) return;
    if (server == Server::kRefused) {
      fail_copy(*std::exchange(lease_error_, nullptr));
      return;
    }
  }
  analyzed_ = analyze(copy_->text);
  const Route route = std::move(*pending_route_);
  pending_route_.reset();
  send_held(HeldUse::kBegin);
  send_closes();
  {
    routing::FrameWriter frame(*outbox_.to_server, 'Q');
    routing::append_qualified(*outbox_.to_server, analyzed_, route, catalog());
    outbox_.to_server->append_u8(0);
  }
  routing::collect_text_changes(analyzed_, route, catalog(), text_changes_);
  server_->unnamed.reset();
  replies_.push(Reply{Reply::Kind::kQuery});
  count_query(route);
  is_group_pure_ = false;
  enter(Phase::kInFlight);
}

Session::Verdict Session::on_copy_in_response() {
  const bool was_emulated = copy_ && !copy_->lookahead.is_empty();
  const bool is_simple = !replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery;
  if (!is_simple && !replies_.is_empty() && replies_.back().kind == Reply::Kind::kSync) {
    // Drivers send Sync right behind Execute; a server that is taking COPY data ignores it.
    const Reply execute = replies_.front();
    replies_.clear();
    replies_.push(execute);
  }
  enter(Phase::kCopyIn);
  if (!was_emulated) return Verdict::kForward;
  // The first row's key is checked again with the rest of what came while it was not known where to.
  const routing::ByteBuffer lookahead = std::exchange(copy_->lookahead, routing::ByteBuffer());
  copy_->rows.emplace(*analyze(copy_->text).plan->parts[0].copy, encoding_);
  check_copy_rows(lookahead.view());
  if (phase_ == Phase::kCopyIn) forward_copy_bytes(lookahead.view());
  if (phase_ == Phase::kCopyIn && copy_ && std::exchange(copy_->is_done, false)) on_client_frame('c', {});
  return Verdict::kDrop;
}

void Session::fail_copy(const Error& error) {
  ++environment_.refused_statements;
  copy_.reset();
  pending_route_.reset();
  if (phase_ == Phase::kCopyUnrouted) {
    if (server_ != nullptr && transaction_status_ != 'I') {
      refuse_query(error);  // within a transaction, which must fail
      return;
    }
    reply_error_and_ready(error);
    return;
  }
  refusal_ = std::make_unique<Error>(error);
  copy_failed_ = true;
  routing::append_copy_fail(*outbox_.to_server, error.message);
  // What the client still sends of its data is ignored; an extended COPY is ended by the client's Sync.
  enter(!replies_.is_empty() && replies_.front().kind == Reply::Kind::kQuery ? Phase::kInFlight
                                                                             : Phase::kGroup);
}

// CopyDone or CopyFail before any row has told a shard.
void Session::end_unrouted_copy(char type, std::string_view body) {
  if (type == 'f') {
    const std::string_view reason = body.substr(0, body.find('\0'));
    fail_copy(Error{sqlstate::kQueryCanceled, fmt::format("COPY from stdin failed: {}", reason), "", ""});
    return;
  }
  const Result<std::optional<routing::CopyKey>> last = copy_->rows->finish();
  if (!last) {
    fail_copy(last.error());
    return;
  }
  if (*last && !(*last)->is_null) {
    // One row without a line end: it is routed like any first row, and CopyDone is delivered again behind it.
    copy_->is_done = true;
    route_copy((*last)->value, (*last)->is_binary);
    return;
  }
  copy_.reset();
  routing::append_command_complete(*outbox_.to_client, "COPY 0");
  routing::append_ready(*outbox_.to_client, visible_status(transaction_status_));
  come_to_rest();
}

}  // namespace mosaic::proxy
