// Which server has which statement, and under which name: the unnamed one, or a name that holds statement,
// shard and settings (ARCHITECTURE.md, "Prepared statements").

#include <fmt/format.h>

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

// Gives the message's statement the name in it. Drivers that do not prepare parse the same text into the
// unnamed statement again and again: that one stays as it is.
PreparedStatement& Session::name_statement(const routing::ParseMessage& message) {
  StatementCache& cache = *environment_.statements;
  if (PreparedStatement* present = statements_.find(message.name)) {
    if (present->is_that_of(message, view_.reading(), scope()) && cache.is_current(*present)) {
      cache.refresh(*present, *environment_.router, catalog());
      return *present;
    }
  }
  PreparedStatement& statement =
      cache.acquire(message, *environment_.router, catalog(), view_.reading(), {}, scope());
  statements_.assign(message.name, &statement, &statements_.owed_undo());
  return statement;
}

bool Session::has_description(const PreparedStatement& statement) const {
  return statement.is_accepted && statement.schema_version == environment_.statements->schema_version() &&
         !statement.description.empty();
}

pool::StatementKey Session::key_of(const PreparedStatement& statement, const Route& route) {
  return {statement.id, route.target == Route::Target::kShard ? route.shard.value + 1 : 0,
          view_.parse_context(*environment_.parse_contexts)};
}

// What a server parses now, it parses under settings that end with the transaction, or that it has not
// confirmed yet, or a schema that nobody else has seen: nobody else, and no later statement, may use it.
bool Session::parses_unlike_others() const {
  return transaction_.has_local_settings || transaction_.changes_schema || group_.changes_settings;
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
  return leg_.server().statements.size() < environment_.max_prepared_statements ||
         ++leg_.server().parses_when_full % kAdmittedOneIn == 0;
}

// Whether a server has, or is to be given, a statement of the client's as its unnamed one.
bool Session::goes_unnamed(const PreparedStatement& statement, std::string_view name,
                           const pool::StatementKey& key) {
  if (statement.sql_type_count > 0) return false;
  if (parses_unlike_others()) {
    leg_.server().unnamed.reset();  // whatever it holds was parsed under other settings
    return true;
  }
  if (!name.empty()) return false;
  if (leg_.server().unnamed == key || !is_worth_preparing(statement)) return true;
  return !leg_.server().statements.contains(key) && !admits_statement();
}

Expectation& Session::send_parse(PreparedStatement& statement, bool is_unnamed, const Route& route,
                                 bool is_ours) {
  const pool::StatementKey key = key_of(statement, route);
  pool::ServerMemory& server = leg_.server();
  if (!is_unnamed) {
    keep_as(key);
  } else {
    server.unnamed.reset();
    if (!parses_unlike_others()) server.unnamed = key;
  }
  ++environment_.traffic[leg_.node().value].server_parses;
  environment_.statements->retain(statement);
  if (statement.sql_type_count > 0) {
    Expectation& prepare = send_prepare(statement, key, route);
    prepare.key = key;
    prepare.statement = &statement;
    return prepare;
  }
  routing::ByteBuffer& out = leg_.out();
  {
    routing::FrameWriter frame(out, 'P');
    out.append_c_string(is_unnamed ? std::string_view() : pool::ServerStatementName(key).view());
    routing::append_qualified(out, statement.compiled->view(), route, catalog());
    out.append_u8(0);
    out.append_u16(static_cast<uint16_t>(statement.declared_types.size()));
    for (const uint32_t oid : statement.declared_types) out.append_u32(oid);
  }
  Expectation& expectation = leg_.expect(Kind::kParse, is_ours);
  expectation.is_unnamed = is_unnamed;
  expectation.key = key;
  expectation.statement = &statement;
  return expectation;
}

}  // namespace mosaic::proxy
