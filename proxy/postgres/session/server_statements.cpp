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
  const ParsedUnder parsed_under = parsed_under_now();
  if (PreparedStatement* present = statements_.find(message.name)) {
    if (present->is_that_of(message, view_.reading(), scope(), parsed_under.id) &&
        cache.is_current(*present)) {
      cache.refresh(*present, *environment_.router, catalog());
      return *present;
    }
  }
  PreparedStatement& statement =
      cache.acquire(message, *environment_.router, catalog(), view_.reading(), {}, scope(), parsed_under);
  statements_.assign(message.name, &statement, &statements_.owed_undo());
  return statement;
}

// What its texts mean, they mean to nobody else.
bool Session::has_temporary() const {
  return leg_.remains.pins.has(routing::Pin::kTemporary) || transaction_.pins.has(routing::Pin::kTemporary);
}

bool Session::is_known(const PreparedStatement& statement) const {
  return statement.is_accepted && statement.schema_version == environment_.statements->schema_version() &&
         !has_temporary();
}

bool Session::has_description(const PreparedStatement& statement) const {
  return is_known(statement) && !statement.description.empty();
}

pool::StatementKey Session::key_of(const PreparedStatement& statement, const Route& route) {
  const bool is_known = statement.parsed_under.id != ParsedUnder::kUnknown;
  return {statement.id, route.target == Route::Target::kShard ? route.shard.value + 1 : 0,
          is_known ? statement.parsed_under.id : view_.parse_context(*environment_.parse_contexts)};
}

// What a server parses now, it parses under settings that end with the transaction, or that it has not
// confirmed yet, or a schema that nobody else has seen: nobody else, and no later statement, may use it.
bool Session::parses_unlike_others() const {
  return transaction_.has_local_settings || transaction_.changes_schema || group_.changes_settings;
}

// The client has changed settings since, so that the text alone would mean something else now.
bool Session::is_parsed_under_others(const PreparedStatement& statement) {
  const uint32_t id = statement.parsed_under.id;
  return id != ParsedUnder::kUnknown && id != view_.parse_context(*environment_.parse_contexts);
}

ParsedUnder Session::parsed_under_now() {
  if (transaction_.has_local_settings || group_.changes_settings) return {ParsedUnder::kUnknown, nullptr};
  const uint32_t id = view_.parse_context(*environment_.parse_contexts);
  return {id, id == 0 ? nullptr : view_.wanted()};
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
  if (statement.sql_type_count > 0 || is_parsed_under_others(statement)) return false;
  if (parses_unlike_others()) {
    leg_.server().unnamed.reset();  // whatever it holds was parsed under other settings
    // A plan from before a definition the server refuses where it does not fit: the client is to look again.
    const bool is_of_schema_only = !transaction_.has_local_settings && !group_.changes_settings;
    return !is_of_schema_only || environment_.statements->is_current(statement) ||
           !leg_.server().statements.contains(key);
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
  if (!is_parsed_under_others(statement)) return append_parse_of(statement, is_unnamed, key, route, is_ours);
  // Constants mean what they meant when the client had them parsed.
  for (const std::string& text :
       ClientView::parsing_changes(view_.wanted().get(), statement.parsed_under.settings.get()))
    leg_.send_statement(text, true);
  append_parse_of(statement, is_unnamed, key, route, is_ours);
  const size_t at = leg_.owed().size() - 1;
  for (const std::string& text :
       ClientView::parsing_changes(statement.parsed_under.settings.get(), view_.wanted().get()))
    leg_.send_statement(text, true);
  return leg_.owed().at(at);
}

Expectation& Session::append_parse_of(PreparedStatement& statement, bool is_unnamed,
                                      const pool::StatementKey& key, const Route& route, bool is_ours) {
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
