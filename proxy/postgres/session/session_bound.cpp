// Simple queries whose plans servers keep: one that comes often goes out as Bind and Execute of a prepared
// statement, its literals as parameters; what the client gets is what the query itself would have answered
// (ARCHITECTURE.md, "Simple queries that come often").

#include <cassert>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

// Errors that say that the statement can not be had in this form, or not with these values: the query as the
// client wrote it may fare better, or its error is the one to tell (PostgreSQL manual, "Error Codes").
bool may_be_of_form(std::string_view sqlstate) {
  return sqlstate.starts_with("42") ||  // syntax error or access rule violation: types do not fit
         sqlstate.starts_with("0A") ||  // feature not supported; a plan that its tables have outgrown
         sqlstate.starts_with("22") ||  // data exception
         sqlstate.starts_with("26");    // no such prepared statement
}

// Of these, the errors that all values, users and shards will get: it is not to be tried again.
bool is_of_form(std::string_view sqlstate) {
  const bool is_of_user_or_shard = sqlstate == "42501" || sqlstate == "42P01";  // no privilege, no table
  return (sqlstate.starts_with("42") && !is_of_user_or_shard) || sqlstate.starts_with("0A");
}

// Of the unnamed portal; all its rows.
constexpr std::string_view kDescribeExecuteSync(
    "D\0\0\0\6P\0"
    "E\0\0\0\11\0\0\0\0\0"
    "S\0\0\0\4",
    22);

}  // namespace

// Only where nothing can fail but the query itself: in an open transaction a failed Parse would end it.
bool Session::may_bind_query() const {
  return environment_.prepare_simple_queries && environment_.prepare_threshold > 0 &&
         environment_.max_prepared_statements > 0 && phase_ == Phase::kReady && transaction_status_ == 'I' &&
         !is_pinned_ && held_.empty() && replies_.is_empty() && !parses_unlike_others();
}

// In place of the Query message that begins at `query_at` of what goes to the server. False: it stays.
bool Session::send_bound(const routing::AnalyzedStatement& statement, const routing::Route& route,
                         size_t query_at) {
  QueryBinder& binder = *environment_.binder;
  const QueryBinder::BoundQuery* query = binder.bind(statement);
  if (query == nullptr || !binder.is_familiar(*query, environment_.prepare_threshold)) return false;
  StatementCache& cache = *environment_.statements;
  PreparedStatement& prepared =
      cache.acquire({"", query->text, query->types}, *environment_.router, catalog(), statement.reading);
  const pool::StatementKey key = key_of(prepared, route);
  const bool server_has_it = !prepared.is_unbindable && server_->statements.touch(key);
  if (prepared.is_unbindable || (!server_has_it && !admits_statement())) {
    cache.release(prepared);
    return false;
  }
  routing::ByteBuffer& out = *outbox_.to_server;
  assert(local_bytes_.is_empty());
  environment_.buffers->lend(local_bytes_);
  local_bytes_.append(out.view().substr(query_at));
  out.truncate(query_at);
  if (!server_has_it) send_parse(prepared, false, route, true);
  {
    routing::FrameWriter frame(out, 'B');
    out.append_u8(0);  // the unnamed portal
    out.append_c_string(pool::ServerStatementName(key).view());
    out.append(query->values);
  }
  out.append(kDescribeExecuteSync);
  Reply bind{Reply::Kind::kBind, true};
  bind.key = key;
  bind.statement = &prepared;  // with the reference that it was acquired with
  replies_.push(bind);
  Reply query_reply{Reply::Kind::kQuery};
  query_reply.is_bound = true;
  replies_.push(query_reply);
  ++environment_.bound_queries;
  return true;
}

// It has run, but commits with the Sync: until then nobody is told that it is complete.
void Session::keep_bound_tag(std::string_view body) {
  local_bytes_.clear();
  {
    routing::FrameWriter frame(local_bytes_, 'C');
    local_bytes_.append(body);
  }
  replies_.front().local_bytes = static_cast<uint32_t>(local_bytes_.size());
}

void Session::tell_bound_tag() {
  outbox_.to_client->append(local_bytes_.data(), replies_.front().local_bytes);
  local_bytes_.clear();
  environment_.buffers->take_back(local_bytes_);
}

void Session::on_bound_error(std::string_view body) {
  const Reply& front = replies_.front();
  if (front.kind == Reply::Kind::kQuery) {
    replies_.front().local_bytes = 0;  // complete it was, but it does not commit
    forward_error(body);
    return;
  }
  const std::string sqlstate = routing::parse_error_fields(body).sqlstate;
  if (!may_be_of_form(sqlstate)) {
    forward_error(body);
  } else {
    replies_.back().is_unrun = true;
    has_error_ = false;
    // With a stale plan the statement goes anyway.
    const bool is_current = environment_.statements->is_current(front.key.statement);
    if (front.statement != nullptr && is_current && is_of_form(sqlstate))
      front.statement->is_unbindable = true;
    if (sqlstate.starts_with("26")) server_->statements.erase(front.key);
  }
  drop_replies_until_sync();
}

// The server has failed to parse or bind it and is ready again: now as the client wrote it.
void Session::send_unbound() {
  assert(replies_.size() == 1);
  pop_reply();
  outbox_.to_server->append(local_bytes_.view());
  local_bytes_.clear();
  environment_.buffers->take_back(local_bytes_);
  server_->unnamed.reset();
  replies_.push(Reply{Reply::Kind::kQuery});
  ++environment_.unbound_queries;
}

}  // namespace mosaic::proxy
