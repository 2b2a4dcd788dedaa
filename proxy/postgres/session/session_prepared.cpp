// The statements that a client has prepared, and under which names servers have them: the unnamed one, or a
// name that holds statement, shard and settings (ARCHITECTURE.md, "Prepared statements").

#include <fmt/format.h>

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

namespace {

bool ends_transaction(StatementKind kind) {
  return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
         kind == StatementKind::kRollbackTo;
}

}  // namespace

PreparedStatement* Session::find_prepared(std::string_view name) {
  const auto found = prepared_.find(name);
  return found == prepared_.end() ? nullptr : found->second;
}

void Session::drop_prepared(std::string_view name) {
  const auto found = prepared_.find(name);
  if (found == prepared_.end()) return;
  forget_portals_of(*found->second);
  if (owed_parse_ == found->second) owed_parse_ = nullptr;
  environment_.statements->release(*found->second);
  prepared_.erase(found);
}

void Session::forget_portals_of(const PreparedStatement& statement) {
  std::erase_if(portals_, [&](const Portal& portal) { return portal.statement == &statement; });
}

// Gives the message's statement the name in it. Drivers that do not prepare parse the same text into the
// unnamed statement again and again: that one stays as it is.
PreparedStatement& Session::name_statement(const routing::ParseMessage& message) {
  StatementCache& cache = *environment_.statements;
  const auto at = prepared_.find(message.name);
  if (at != prepared_.end()) {
    PreparedStatement& present = *at->second;
    forget_portals_of(present);
    if (present.is_that_of(message, reading_) && cache.is_current(present)) {
      cache.refresh(present, *environment_.router, catalog());
      return present;
    }
  }
  PreparedStatement& statement = cache.acquire(message, *environment_.router, catalog(), reading_);
  if (at == prepared_.end()) {
    prepared_.emplace(message.name, &statement);
  } else {
    cache.release(*std::exchange(at->second, &statement));
  }
  return statement;
}

void Session::drop_all_prepared() {
  portals_.clear();
  owed_parse_ = nullptr;
  for (auto& [name, statement] : prepared_) environment_.statements->release(*statement);
  prepared_.clear();
}

bool Session::has_description(const PreparedStatement& statement) const {
  return statement.is_accepted && statement.schema_version == environment_.statements->schema_version() &&
         !statement.description.empty();
}

// The server parses nothing but an end of transaction while it is in a failed one, and says so itself.
bool Session::is_refused_in_failed_transaction(const PreparedStatement& statement) const {
  const auto& parts = statement.compiled->plan().parts;
  const bool is_end =
      parts.size() == 1 && (ends_transaction(parts[0].kind) || parts[0].kind == StatementKind::kInvalid);
  return ((is_held_failed_ && !held_.empty()) || transaction_status_ == 'E') && !is_end;
}

// Why a Parse under a name in use fails. As for PostgreSQL, a failed transaction comes before the name.
Error Session::duplicate_error(const routing::ParseMessage& message) {
  StatementCache& cache = *environment_.statements;
  PreparedStatement& statement = cache.acquire(message, *environment_.router, catalog(), reading_);
  const bool is_refused = is_refused_in_failed_transaction(statement);
  cache.release(statement);
  if (is_refused) return failed_transaction_error();
  return Error{sqlstate::kDuplicateStatement,
               fmt::format("prepared statement \"{}\" already exists", message.name), "", ""};
}

pool::StatementKey Session::key_of(const PreparedStatement& statement, const Route& route) {
  if (parse_settings_ != settings_.wanted()) {
    parse_settings_ = settings_.wanted();
    parse_context_ = environment_.parse_contexts->id_of(*parse_settings_);
  }
  return {statement.id, route.target == Route::Target::kShard ? route.shard.value + 1 : 0, parse_context_};
}

void Session::note_local_settings(const AnalyzedStatement& statement) {
  for (const auto& part : statement.plan->parts) {
    // SET LOCAL, also TO DEFAULT, and set_config(..., true).
    if (part.setting && part.setting->is_local && affects_parsing(part.setting->name))
      has_local_settings_ = true;
  }
}

// What a server parses now, it parses under settings that end with the transaction, or that it has not
// confirmed yet: nobody else, and no later statement, may use it.
bool Session::parses_unlike_others() const {
  return has_local_settings_ || !effects_.empty() || !portal_effects_.empty();
}

// Drivers that do not prepare parse the same text again and again; after a while servers keep it all the
// same.
bool Session::is_worth_preparing(const PreparedStatement& statement) const {
  const auto& parts = statement.compiled->plan().parts;
  return environment_.prepare_threshold > 0 && statement.parses >= environment_.prepare_threshold &&
         environment_.max_prepared_statements > 0 && parts.size() == 1 &&
         parts[0].kind == StatementKind::kQuery;
}

// Whether the server may be given one more statement that no client has named. A full list takes in one in so
// many: or statements on many shards would push each other out before their next use.
bool Session::admits_statement() {
  constexpr uint32_t kAdmittedOneIn = 8;
  return server_->statements.size() < environment_.max_prepared_statements ||
         ++server_->parses_when_full % kAdmittedOneIn == 0;
}

// Whether a server has, or is to be given, a statement of the client's as its unnamed one.
bool Session::goes_unnamed(const PreparedStatement& statement, std::string_view name,
                           const pool::StatementKey& key) {
  if (parses_unlike_others()) {
    server_->unnamed.reset();  // whatever it holds was parsed under other settings
    return true;
  }
  if (!name.empty()) return false;
  if (server_->unnamed == key || !is_worth_preparing(statement)) return true;
  return !server_->statements.contains(key) && !admits_statement();
}

pool::StatementKey Session::send_parse(PreparedStatement& statement, bool is_unnamed, const Route& route,
                                       bool is_ours) {
  const pool::StatementKey key = key_of(statement, route);
  routing::ByteBuffer& out = *outbox_.to_server;
  has_sent_ = true;
  if (!is_unnamed) {
    while (const auto evicted = server_->statements.evict(environment_.max_prepared_statements)) {
      server_->to_close.push_back(*evicted);
    }
    send_closes();
    server_->statements.insert(key);
  } else {
    server_->unnamed.reset();
    if (!parses_unlike_others()) server_->unnamed = key;
  }
  {
    routing::FrameWriter frame(out, 'P');
    out.append_c_string(is_unnamed ? std::string_view() : pool::ServerStatementName(key).view());
    routing::append_qualified(out, statement.compiled->view(), route, catalog());
    out.append_u8(0);
    out.append_u16(static_cast<uint16_t>(statement.declared_types.size()));
    for (const uint32_t oid : statement.declared_types) out.append_u32(oid);
  }
  environment_.statements->retain(statement);
  replies_.push(Reply{Reply::Kind::kParse, is_ours, is_unnamed, key, &statement});
  ++environment_.traffic[server_->node.value].server_parses;
  return key;
}

void Session::send_closes() {
  for (const pool::StatementKey& key : server_->to_close) {
    routing::append_close(*outbox_.to_server, 'S', pool::ServerStatementName(key).view());
    replies_.push(Reply{Reply::Kind::kClose, true, false, key});
  }
  server_->to_close.clear();
}

}  // namespace mosaic::proxy
