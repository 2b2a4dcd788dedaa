// Statements about the session and its transaction: they name no table, and the proxy itself acts on most of
// them.

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/part_findings.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/postgres/sql/statement_analysis.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

constexpr int kCursorWithHold = 0x0020;  // CURSOR_OPT_HOLD, src/include/nodes/parsenodes.h

StatementKind kind_of(PgQuery__TransactionStmtKind kind) {
  switch (kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
      return StatementKind::kBegin;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
      return StatementKind::kCommit;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
      return StatementKind::kRollback;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
      return StatementKind::kSavepoint;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
      return StatementKind::kRelease;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
      return StatementKind::kRollbackTo;
    default:
      return StatementKind::kPrepareTransaction;
  }
}

void analyze_transaction(const PgQuery__TransactionStmt& transaction, StatementPart& part) {
  part.kind = kind_of(transaction.kind);
  part.name = transaction.savepoint_name;
  part.is_chained = transaction.chain != 0;
  const bool is_finished_elsewhere =
      transaction.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED ||
      transaction.kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED;
  if (is_finished_elsewhere) {
    part.placement = Placement::kDefault;
    part.follows_hint = true;
  }
  for (const Node* item : MOSAIC_NODES(transaction, options)) {
    part.names_modes = true;
    const auto* option = as_option(item);
    if (option == nullptr || std::string_view(option->defname) != "transaction_isolation") continue;
    // The level is a word of the grammar, so that reading it does not bind the plan to the text's literals.
    const auto* level = as_constant(option->arg);
    if (level == nullptr || level->val_case != PG_QUERY__A__CONST__VAL_SVAL) continue;
    const std::string_view name = level->sval->sval;
    part.keeps_snapshot = name == "repeatable read" || name == "serializable";
  }
}

// Where the value list of SET begins, in tokens.
uint32_t find_value(const StatementSource& source, const StatementPart& part) {
  uint32_t token = part.first_token + 1;
  const auto is_at = [&](uint32_t at, std::string_view keyword) {
    return is_keyword(source.text_of(at), keyword);
  };
  const auto is_assignment = [&](uint32_t at) {
    return at < part.last_token && (is_at(at, "=") || is_at(at, "to"));
  };
  if ((is_at(token, "session") || is_at(token, "local")) && !is_assignment(token + 1) &&
      source.text_of(token + 1) != ".") {
    if (is_at(token + 1, "authorization")) return token + 2;
    ++token;
  }
  uint32_t after_name = token + 1;
  while (after_name < part.last_token && source.text_of(after_name) == ".") after_name += 2;
  if (is_assignment(after_name)) return after_name + 1;
  // SET TIME ZONE x, SET XML OPTION x, SET SESSION AUTHORIZATION x; SET NAMES x, ROLE x, SCHEMA x, CATALOG x.
  const bool has_two_words = is_at(token, "time") || is_at(token, "xml") || is_at(token, "session");
  return std::min(part.last_token, token + (has_two_words ? 2 : 1));
}

// The text of a setting's only value, when it is one; reading it binds the plan to this text.
std::string value_text(NodeList values, StatementSource& source) {
  if (values.size() != 1) return {};
  source.mark_literal_read();
  const auto* constant = as_constant(values[0]);
  if (constant == nullptr) return {};
  if (constant->val_case == PG_QUERY__A__CONST__VAL_SVAL) return constant->sval->sval;
  if (constant->val_case == PG_QUERY__A__CONST__VAL_IVAL) return std::to_string(constant->ival->ival);
  return {};
}

void analyze_set(const PgQuery__VariableSetStmt& set, StatementSource& source, StatementPart& part) {
  const std::string name = to_lower(set.name);
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI) {
    part.kind = StatementKind::kSetTransaction;
    part.name = name;
    return;
  }
  if (set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT) {
    part.kind = StatementKind::kUtility;
    return;
  }
  SettingChange change;
  change.name = name;
  change.is_local = set.is_local;
  if (set.kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE) {
    part.kind = StatementKind::kReset;
    change.kind = set.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL ? SettingChange::Kind::kResetAll
                                                                         : SettingChange::Kind::kReset;
    part.may_release_pins = change.kind == SettingChange::Kind::kResetAll;
    part.setting = std::move(change);
    return;
  }
  part.kind = StatementKind::kSet;
  change.value_first = find_value(source, part);
  change.value_last = part.last_token;
  if (has_value_rule(name))
    part.refusal = find_value_error(name, value_text(MOSAIC_NODES(set, args), source));
  part.setting = std::move(change);
}

std::optional<bool> boolean_of(const Node* node) {
  if (const auto* cast = as_cast(node)) return boolean_of(cast->arg);
  const auto* constant = as_constant(node);
  if (constant == nullptr || constant->val_case != PG_QUERY__A__CONST__VAL_BOOLVAL) return std::nullopt;
  return constant->boolval->boolval;
}

// SELECT set_config('name', 'value' or $n, true or false), and nothing else.
bool analyze_set_config(const PgQuery__SelectStmt& select, StatementSource& source, StatementPart& part) {
  if (select.n_target_list != 1 || select.n_from_clause > 0 || select.where_clause != nullptr ||
      select.with_clause != nullptr || select.n_values_lists > 0 || select.larg != nullptr ||
      select.into_clause != nullptr || select.limit_count != nullptr || select.limit_offset != nullptr ||
      select.having_clause != nullptr || select.n_group_clause > 0 || select.n_distinct_clause > 0) {
    return false;
  }
  const auto* target = as_target(select.target_list[0]);
  const auto* call = target == nullptr ? nullptr : as_function(target->val);
  if (call == nullptr || call->n_args != 3 || call->n_funcname == 0 || call->over != nullptr ||
      string_of(call->funcname[call->n_funcname - 1]) != "set_config" ||
      (call->n_funcname == 2 && string_of(call->funcname[0]) != "pg_catalog") || call->n_funcname > 2) {
    return false;
  }
  const auto* name = as_constant(call->args[0]);
  const auto is_local = boolean_of(call->args[2]);
  if (name == nullptr || name->val_case != PG_QUERY__A__CONST__VAL_SVAL || !is_local) return false;
  SettingChange change;
  change.is_set_config = true;
  change.is_local = *is_local;
  if (const auto* parameter = as_parameter(call->args[1])) {
    if (parameter->number <= 0) return false;
    change.value_parameter =
        KeySource{KeySource::Kind::kParameter, static_cast<uint32_t>(parameter->number - 1)};
  } else {
    const auto* value = as_constant(call->args[1]);
    const int token = value == nullptr ? -1 : source.find_token(value->location);
    if (token < 0 || value->val_case != PG_QUERY__A__CONST__VAL_SVAL) return false;
    change.value_first = static_cast<uint32_t>(token);
    change.value_last = static_cast<uint32_t>(token) + 1;
  }
  source.mark_literal_read();
  change.name = to_lower(name->sval->sval);
  // A parameter's value is looked at by route(), which knows it.
  if (const auto* value = as_constant(call->args[1]))
    part.refusal = find_value_error(change.name, value->sval->sval);
  part.kind = StatementKind::kSet;
  part.setting = std::move(change);
  return true;
}

void analyze_declare(const PgQuery__DeclareCursorStmt& declare, StatementSource& source,
                     StatementPart& part) {
  analyze_query(declare.query, source, part);
  part.is_free = false;
  if ((declare.options & kCursorWithHold) != 0) {
    part.kind = StatementKind::kSessionState;
    part.pins.add(Pin::kHoldCursor);
  }
}

std::string_view name_of(PgQuery__DiscardMode mode) {
  switch (mode) {
    case PG_QUERY__DISCARD_MODE__DISCARD_PLANS:
      return "plans";
    case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES:
      return "sequences";
    case PG_QUERY__DISCARD_MODE__DISCARD_TEMP:
      return "temp";
    default:
      return "all";
  }
}

void pin_to_default_node(StatementPart& part, Pin why) {
  part.kind = StatementKind::kSessionState;
  part.placement = Placement::kDefault;
  part.follows_hint = true;
  part.pins.add(why);
}

}  // namespace

bool analyze_session_statement(const Node* statement, StatementSource& source, StatementPart& part) {
  switch (statement->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
      return analyze_set_config(*statement->select_stmt, source, part);
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
      analyze_transaction(*statement->transaction_stmt, part);
      return true;
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
      analyze_set(*statement->variable_set_stmt, source, part);
      return true;
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
      part.kind = StatementKind::kShow;
      part.name = to_lower(statement->variable_show_stmt->name);
      part.is_read = part.is_free = true;
      return true;
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
      part.kind = StatementKind::kDiscard;
      part.name = name_of(statement->discard_stmt->target);
      part.may_release_pins = true;
      return true;
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
      part.kind = StatementKind::kDeallocate;
      part.name = statement->deallocate_stmt->name;
      return true;
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
      analyze_prepare(*statement->prepare_stmt, source, part);
      return true;
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
      analyze_execute(*statement->execute_stmt, source, part);
      return true;
    case PG_QUERY__NODE__NODE_LISTEN_STMT:
      pin_to_default_node(part, Pin::kListen);
      return true;
    case PG_QUERY__NODE__NODE_LOAD_STMT:
      pin_to_default_node(part, Pin::kLibrary);
      part.traces.add(Trace::kUnknown);  // what a library does when it is loaded
      return true;
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT:
      // Takes state away: nothing to pin for, and a session that is not pinned has nothing to lose.
      part.kind = StatementKind::kSessionState;
      part.may_release_pins = true;
      return true;
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
      analyze_declare(*statement->declare_cursor_stmt, source, part);
      return true;
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
      part.may_release_pins = true;
      part.closes_portals = std::string_view(statement->close_portal_stmt->portalname).empty();
      [[fallthrough]];
    case PG_QUERY__NODE__NODE_FETCH_STMT:
      // About what the transaction's own server connection holds.
      part.kind = StatementKind::kUtility;
      return true;
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
      part.kind = StatementKind::kSetConstraints;
      return true;
    default:
      return false;
  }
}

}  // namespace mosaic::routing
