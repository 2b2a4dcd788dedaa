// Statements that Mosaic answers itself: the ends of a transaction that no server knows of yet, hints, and
// what concerns prepared statements, whose names live here.

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

// COMMIT, COMMIT WORK: without AND CHAIN.
bool is_plain_end(const StatementPart& part) { return part.last_token - part.first_token <= 2; }

bool is_discard_all(const StatementPart& part) { return part.name.empty() || part.name == "all"; }

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

bool Session::is_local(const StatementPart& part, const AnalyzedStatement&) const {
  if (part.refusal) return false;
  const bool is_idle = transaction_status_ == 'I' && !is_pinned_;  // no server transaction, no server state
  const bool is_held = !held_.empty();
  if (is_held && is_held_failed_) {
    return part.kind == StatementKind::kCommit || part.kind == StatementKind::kRollback ||
           part.kind == StatementKind::kRollbackTo;
  }
  if (transaction_status_ == 'E') return false;  // the server's own errors, and the ends of its transaction
  switch (part.kind) {
    case StatementKind::kEmpty:
      return true;
    case StatementKind::kBegin:
      return is_idle;
    case StatementKind::kCommit:
    case StatementKind::kRollback:
      return is_held && is_plain_end(part);
    case StatementKind::kSavepoint:
    case StatementKind::kRelease:
    case StatementKind::kRollbackTo:
      return is_held;
    case StatementKind::kSetTransaction:
      return is_held;
    case StatementKind::kSet:
    case StatementKind::kReset:
      return is_hint(part) ||
             (is_held && part.setting && part.setting->is_local && !part.setting->is_set_config &&
              !routing::is_reading_setting(part.setting->name));  // a server says what it is now
    case StatementKind::kDeallocate:
      return true;
    case StatementKind::kDiscard:
      // What DISCARD PLANS, SEQUENCES and TEMP drop is there only in a server session of its own.
      return transaction_status_ == 'I' && (is_discard_all(part) ? !is_held : !is_pinned_);
    default:
      return false;
  }
}

Session::LocalReply Session::run_local(const StatementPart& part, const AnalyzedStatement& statement,
                                       const Parameters& parameters) {
  if (is_hint(part)) return set_hint(part, statement, parameters);
  switch (part.kind) {
    case StatementKind::kEmpty:
      return {"", std::nullopt, true};
    case StatementKind::kDeallocate:
      if (part.name.empty()) {
        drop_all_prepared();
        return {"DEALLOCATE ALL", std::nullopt};
      }
      if (find_prepared(part.name) == nullptr) {
        return {"", Error{sqlstate::kInvalidStatementName,
                          fmt::format("prepared statement \"{}\" does not exist", part.name), "", ""}};
      }
      drop_prepared(part.name);
      return {"DEALLOCATE", std::nullopt};
    case StatementKind::kDiscard: {
      if (!is_discard_all(part)) {
        std::string tag = "DISCARD " + part.name;
        std::transform(tag.begin(), tag.end(), tag.begin(), [](unsigned char c) { return std::toupper(c); });
        return {tag, std::nullopt};
      }
      drop_all_prepared();
      settings_.reset_all();
      if (const pool::NameValuesRef known = environment_.welcomes->find(welcome_key()))
        tell_parameters(with_application_name(known));
      if (is_pinned_) end_lease(LeaseEnd::kDiscard);
      return {"DISCARD ALL", std::nullopt};
    }
    default:
      return run_local_in_held(part, statement);
  }
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
    settings_.reset_hint(change.name);
    return {"RESET", std::nullopt};
  }
  // Kept as UTF8, which keys are compared in, whatever client_encoding will be when it is used.
  std::string value;
  const auto add = [&](std::string_view bytes) -> routing::Status {
    std::string converted, scratch;
    const auto utf8 = routing::to_utf8(encoding_, bytes, converted);
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
  const bool is_in_transaction_now = is_in_transaction();
  if (!change.is_local || is_in_transaction_now) settings_.set_hint(change.name, value, change.is_local);
  return {"SET", std::nullopt};
}

void Session::append_local(const LocalReply& reply) {
  reply_local_by([&](routing::ByteBuffer& out) {
    if (reply.error) {
      routing::append_error(out, *reply.error);
      fail_held();
    } else if (reply.is_empty_query) {
      routing::append_empty(out, 'I');
    } else {
      routing::append_command_complete(out, reply.tag);
    }
  });
}

}  // namespace mosaic::proxy
