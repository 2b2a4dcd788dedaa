// Statements that Mosaic answers itself: a transaction that no server knows of yet, hints, and what concerns
// prepared statements, whose names live here. A statement is answered here only where it is sure to succeed
// or to fail as it would on a server; all else goes to one.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Parameters;
using routing::StatementKind;
using routing::StatementPart;
namespace sqlstate = routing::sqlstate;

namespace {

bool is_hint(const StatementPart& part) {
  return (part.kind == StatementKind::kSet || part.kind == StatementKind::kReset) && part.setting &&
         part.setting->name.starts_with("mosaic.");
}

// The plain value of a literal or word: 42, '42', "42".
std::string unquoted(std::string_view token) {
  if (token.size() < 2 || (token.front() != '\'' && token.front() != '"')) return std::string(token);
  std::string value;
  for (size_t i = 1; i + 1 < token.size(); ++i) {
    value += token[i];
    if (token[i] == token.front() && i + 2 < token.size()) ++i;  // a doubled quote
  }
  return value;
}

}  // namespace

bool Session::is_local(const StatementPart& part) const {
  if (part.refusal) return false;
  const bool is_end = part.kind == StatementKind::kCommit || part.kind == StatementKind::kRollback;
  if (transaction_.is_lost())
    return (is_end && !part.is_chained) ||
           (part.kind == StatementKind::kRollbackTo && transaction_.can_go_back());
  if (has_failed_transaction()) return false;  // the server's own errors, and the ends of its transaction
  const bool is_open_here = transaction_.is_open() && !leg_.is_held();
  const bool has_room = transaction_.has_room(part.name.size() + 64, environment_.max_held_bytes);
  switch (part.kind) {
    case StatementKind::kEmpty:
      return !leg_.is_held();
    case StatementKind::kBegin:
      return !leg_.is_held() && !transaction_.is_open() &&
             !(part.names_modes && transaction_.has_snapshot_here);
    case StatementKind::kCommit:
    case StatementKind::kRollback:
      return is_open_here && (!part.is_chained || (transaction_.may_chain() && has_room));
    case StatementKind::kSavepoint:
      return is_open_here && has_room;
    case StatementKind::kRelease:
    case StatementKind::kRollbackTo:
      return is_open_here && has_room && transaction_.has_savepoint(part.name);
    case StatementKind::kSet:
    case StatementKind::kReset:
      return is_hint(part);
    case StatementKind::kDeallocate:
    case StatementKind::kPrepare:  // by run_prepare()
      return true;
    case StatementKind::kDiscard:
      // What DISCARD PLANS, SEQUENCES and TEMP drop is there only in a server session of its own.
      return part.is_discard_all() ? !transaction_.is_open() && leg_.status() == 'I' && !leg_.is_busy()
                                   : !leg_.is_held() && !transaction_.is_open();
    default:
      return false;
  }
}

// Why a statement that is answered here will fail.
std::optional<Error> Session::local_error(const StatementPart& part) const {
  if (part.kind == StatementKind::kDeallocate && !part.name.empty() && statements_.find(part.name) == nullptr)
    return no_such_statement(part.name);
  if (part.is_discard_all() && group_.has_run_here)
    return Error{"25001", "DISCARD ALL cannot be executed within a pipeline", "", ""};
  return std::nullopt;
}

Session::LocalReply Session::run_local(const StatementPart& part, const AnalyzedStatement& statement,
                                       const Parameters& parameters) {
  if (is_hint(part)) return set_hint(part, statement, parameters);
  if (auto error = local_error(part)) return {"", std::move(error)};
  switch (part.kind) {
    case StatementKind::kEmpty:
      return {"", std::nullopt, true};
    case StatementKind::kDeallocate:
      transaction_.has_snapshot_here = true;
      if (part.name.empty()) {
        statements_.drop_all(nullptr);
        return {"DEALLOCATE ALL", std::nullopt};
      }
      statements_.assign(part.name, nullptr, nullptr);
      return {"DEALLOCATE", std::nullopt};
    case StatementKind::kDiscard: {
      transaction_.has_snapshot_here = !part.is_discard_all();  // which commits at once
      if (!part.is_discard_all()) {
        std::string tag = "DISCARD " + part.name;
        std::transform(tag.begin(), tag.end(), tag.begin(), [](unsigned char c) { return std::toupper(c); });
        return {tag, std::nullopt};
      }
      statements_.drop_all(nullptr);
      statements_.drop_portals();
      view_.reset_all();
      if (const pool::NameValuesRef known = environment_.welcomes->find(view_.login.user, welcome_key()))
        view_.tell(with_application_name(known), *outbox_.to_client);
      if (leg_.is_held()) leg_.remains.is_unclean = true;
      leg_.remains.pins = {};
      return {"DISCARD ALL", std::nullopt};
    }
    default:
      return run_local_in_transaction(part, statement);
  }
}

Session::LocalReply Session::run_local_in_transaction(const StatementPart& part,
                                                      const AnalyzedStatement& statement) {
  std::string text(statement.text_of(part));
  const auto say = [&](Effect::Kind kind) {
    view_.apply(Effect{kind, 0, part.name, ""}, nullptr);
    transaction_.say(std::move(text), false, environment_.max_held_bytes);
  };
  switch (part.kind) {
    case StatementKind::kBegin: {
      const bool is_start = (text.front() | 0x20) == 's';
      transaction_.begin(std::move(text), part.keeps_snapshot);
      return {is_start ? "START TRANSACTION" : "BEGIN", std::nullopt};
    }
    case StatementKind::kSavepoint:
      say(Effect::Kind::kSavepoint);
      transaction_.open_savepoint(part.name);
      return {"SAVEPOINT", std::nullopt};
    case StatementKind::kRelease:
      say(Effect::Kind::kRelease);
      transaction_.leave_savepoint(part.name, true);
      return {"RELEASE", std::nullopt};
    case StatementKind::kRollbackTo:
      if (!transaction_.has_savepoint(part.name))
        return {"", Error{"3B001", fmt::format("savepoint \"{}\" does not exist", part.name), "", ""}};
      transaction_.go_back();
      say(Effect::Kind::kRollbackTo);
      transaction_.leave_savepoint(part.name, false);
      return {"ROLLBACK", std::nullopt};
    default:
      break;
  }
  // COMMIT, ROLLBACK.
  const bool is_commit = part.kind == StatementKind::kCommit;
  const bool has_failed = transaction_.is_lost();
  // Few programs look whether COMMIT was answered with ROLLBACK: they expect to have seen an error before.
  std::optional<Error> untold;
  if (has_failed && is_commit && !transaction_.is_loss_told()) untold = transaction_.loss();
  if (part.is_chained) {
    transaction_.chain(has_failed);
  } else {
    transaction_.reset();
  }
  statements_.drop_portals();
  if (is_commit && !has_failed) {
    view_.commit();
  } else {
    view_.roll_back(nullptr);
  }
  if (untold) return {"", std::move(untold)};
  return {is_commit && !has_failed ? "COMMIT" : "ROLLBACK", std::nullopt};
}

Session::LocalReply Session::set_hint(const StatementPart& part, const AnalyzedStatement& statement,
                                      const Parameters& parameters) {
  const routing::SettingChange& change = *part.setting;
  const std::string_view name = std::string_view(change.name).substr(std::string_view("mosaic.").size());
  const auto& tables = catalog().tables();
  const auto table = std::find_if(tables.begin(), tables.end(), [&](const routing::Table& t) {
    return t.kind == routing::TableKind::kSharded && t.key == name;
  });
  if (name != "shard" && table == tables.end()) {
    return {"", Error{sqlstate::kUndefinedObject,
                      fmt::format("unrecognized configuration parameter \"{}\"", change.name),
                      "Mosaic knows mosaic.shard and mosaic.<shard key column>", ""}};
  }
  if (change.kind != routing::SettingChange::Kind::kSet) {
    view_.reset_hint(change.name);
    return {"RESET", std::nullopt};
  }
  // Kept as UTF8, which keys are compared in, whatever client_encoding will be when it is used.
  std::string value;
  const auto add = [&](std::string_view bytes) -> routing::Status {
    std::string converted, scratch;
    const auto utf8 = routing::to_utf8(view_.encoding(), bytes, converted);
    if (!utf8) return utf8.error();
    const auto literal = change.value_parameter
                             ? std::optional(*utf8)
                             : routing::read_string_literal(*utf8, statement.reading, scratch);
    value += literal ? std::string(*literal) : unquoted(*utf8);
    return {};
  };
  if (change.value_parameter) {
    const auto bound = parameters.find(change.value_parameter->index);
    if (bound && !bound->is_null) {
      if (const auto status = add(bound->bytes); !status) return {"", status.error()};
    }
  } else {
    for (uint32_t i = change.value_first; i < change.value_last; ++i) {
      const routing::Token& token = statement.tokens[i];
      if (const auto status = add(statement.text.substr(token.begin, token.end - token.begin)); !status)
        return {"", status.error()};
    }
  }
  const routing::Hint hint{name == "shard" ? routing::Hint::Kind::kShard : routing::Hint::Kind::kKey, value};
  const auto key_type = table == tables.end() ? routing::KeyType::kInt8 : table->key_type;
  const auto shard = routing::shard_of_hint(hint, key_type, catalog());
  if (!shard) return {"", shard.error()};
  if (!change.is_local || is_in_transaction()) view_.set_hint(change.name, value, change.is_local);
  return {"SET", std::nullopt};
}

// Nothing is owed: it is told at once.
void Session::append_local(const LocalReply& reply) {
  count_here(false);
  if (reply.is_empty_query) {
    routing::append_empty(*outbox_.to_client, 'I');
  } else {
    routing::append_command_complete(*outbox_.to_client, reply.tag);
  }
}

// The answer to a simple query.
void Session::answer_here(const LocalReply& reply) {
  append_local(reply);
  append_ready();
  begin_group();
  if (leg_.is_held() && leg_.status() == 'I' && !leg_.is_busy()) {
    release_server();
  } else {
    come_to_rest();
  }
}

}  // namespace mosaic::proxy
