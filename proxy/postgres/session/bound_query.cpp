// Simple queries whose plans servers keep: one that comes often goes out as Bind and Execute of a prepared
// statement, its literals as parameters; what the client gets is what the query itself would have answered
// (ARCHITECTURE.md, "Simple queries that come often"). And what may be tried again when a server will not
// have it, or has lost a statement of ours.

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
         environment_.max_prepared_statements > 0 && phase_ == Phase::kReady && leg_.status() == 'I' &&
         !is_pinned() && !transaction_.is_open() && !leg_.is_busy() && !group_.is_as_written &&
         transaction_.said().empty() && view_.reading().standard_conforming_strings &&
         !parses_unlike_others();
}

// In place of the Query message that begins at `query_at` of what goes to the server. False: it stays.
bool Session::send_bound(const routing::AnalyzedStatement& statement, const routing::Route& route,
                         size_t query_at) {
  QueryBinder& binder = *environment_.binder;
  const QueryBinder::BoundQuery* query = binder.bind(statement);
  if (query == nullptr || !binder.is_familiar(*query, environment_.prepare_threshold)) return false;
  StatementCache& cache = *environment_.statements;
  PreparedStatement& prepared = cache.acquire({"", query->text, query->types}, *environment_.router,
                                              catalog(), statement.reading, {}, scope(), parsed_under_now());
  const pool::StatementKey key = key_of(prepared, route);
  const bool server_has_it = !prepared.is_unbindable && leg_.server().statements.touch(key);
  if (prepared.is_unbindable || (!server_has_it && !admits_statement())) {
    cache.release(prepared);
    return false;
  }
  attempt_.start(transaction_.is_open());
  routing::ByteBuffer& out = leg_.out();
  out.truncate(query_at);
  if (!server_has_it) send_parse(prepared, false, route, true);
  {
    routing::FrameWriter frame(out, 'B');
    out.append_u8(0);  // the unnamed portal
    out.append_c_string(pool::ServerStatementName(key).view());
    out.append(query->values);
  }
  out.append(kDescribeExecuteSync);
  Expectation& bind = leg_.expect(Kind::kBind, true);
  bind.key = key;
  bind.statement = &prepared;  // with the reference that it was acquired with
  leg_.expect(Kind::kQuery).is_bound = true;
  ++environment_.bound_queries;
  return true;
}

// It has run, but commits with the Sync: until then nobody is told that it is complete.
void Session::keep_bound_tag(std::string_view body) {
  routing::ByteBuffer& kept = leg_.local_bytes();
  environment_.buffers->lend(kept);
  {
    routing::FrameWriter frame(kept, 'C');
    kept.append(body);
  }
  leg_.owed().front().local_bytes = static_cast<uint32_t>(kept.size());
}

// Whether the messages of this attempt are to be sent again, unseen by the client, and notes what is to be
// different then.
bool Session::may_try_again(const Expectation& front, std::string_view body) {
  if (!attempt_.is_kept() || attempt_.is_in_transaction()) return false;
  const bool is_bound_query = !leg_.owed().is_empty() && leg_.owed().back().is_bound;
  const routing::Error error = routing::parse_error_fields(body);
  const std::string& sqlstate = error.sqlstate;
  if (is_bound_query) {
    if (front.kind == Kind::kQuery || !may_be_of_form(sqlstate)) return false;
    // With a stale plan the statement goes anyway.
    const bool is_current = environment_.statements->is_current(front.key.statement);
    if (front.statement != nullptr && is_current && is_of_form(sqlstate))
      front.statement->is_unbindable = true;
    if (sqlstate == routing::sqlstate::kInvalidStatementName) leg_.server().statements.erase(front.key);
    ++environment_.unbound_queries;
    group_.is_as_written = true;
    return true;
  }
  // A name that is ours, and that the server does not know: somebody has dropped it behind our back.
  const bool names_ours = (front.kind == Kind::kBind || front.kind == Kind::kDescribeStatement) &&
                          !front.is_unnamed && front.key.statement != 0;
  const bool is_execute =
      front.kind == Kind::kQuery && front.key.statement != 0 && front.statement == nullptr;
  if (is_execute && sqlstate == routing::sqlstate::kInvalidStatementName &&
      error.message.find(pool::ServerStatementName(front.key).view()) != std::string::npos) {
    leg_.server().statements.erase(front.key);  // of EXECUTE
    ++environment_.healed_statements;
    return true;
  }
  if (!names_ours || sqlstate != routing::sqlstate::kInvalidStatementName) return false;
  leg_.server().statements.erase(front.key);
  ++environment_.healed_statements;
  return true;
}

}  // namespace mosaic::proxy
