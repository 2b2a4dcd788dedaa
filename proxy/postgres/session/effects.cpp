// What statements do to the session once they have run, and what that changes here.

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/setting_rules.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Parameters;
using routing::SettingChange;
using routing::StatementKind;
using routing::StatementPart;

namespace {

std::string_view token_text(const AnalyzedStatement& statement, uint32_t token) {
  return statement.text.substr(statement.tokens[token].begin,
                               statement.tokens[token].end - statement.tokens[token].begin);
}

// The value of a SET, tagged (client_view.h). Nothing when it is a null parameter.
std::optional<std::string> value_of(const AnalyzedStatement& statement, const SettingChange& setting,
                                    const Parameters& parameters) {
  if (setting.value_parameter) {
    const auto bound = parameters.find(setting.value_parameter->index);
    if (!bound || bound->is_null) return std::nullopt;
    return "R" + std::string(bound->bytes);  // text: its text and binary forms are the same bytes
  }
  if (setting.value_last <= setting.value_first) return std::nullopt;
  // It will be said again to servers that may read plain strings otherwise.
  return (setting.is_set_config ? "C" : "S") +
         routing::portable_text_of(
             statement.text,
             statement.tokens.subspan(setting.value_first, setting.value_last - setting.value_first),
             statement.reading);
}

// SET SESSION CHARACTERISTICS AS TRANSACTION modes: defaults of later transactions (PostgreSQL manual, SET
// TRANSACTION).
void add_characteristics(const AnalyzedStatement& statement, const StatementPart& part, size_t index,
                         std::vector<Effect>& effects) {
  const auto is_at = [&](uint32_t token, std::string_view word) {
    return token < part.last_token && routing::is_keyword(token_text(statement, token), word);
  };
  const auto add = [&](const char* name, const char* value) {
    effects.push_back({Effect::Kind::kSet, index, name, std::string("R") + value});
  };
  for (uint32_t token = part.first_token; token < part.last_token; ++token) {
    if (is_at(token, "level")) {
      add("default_transaction_isolation", is_at(token + 1, "serializable") ? "serializable"
                                           : is_at(token + 1, "repeatable") ? "repeatable read"
                                           : is_at(token + 2, "committed")  ? "read committed"
                                                                            : "read uncommitted");
    } else if (is_at(token, "read") && (is_at(token + 1, "only") || is_at(token + 1, "write"))) {
      add("default_transaction_read_only", is_at(token + 1, "only") ? "on" : "off");
    } else if (is_at(token, "deferrable")) {
      add("default_transaction_deferrable", is_at(token - 1, "not") ? "off" : "on");
    }
  }
}

void add_setting(const AnalyzedStatement& statement, const StatementPart& part, size_t index,
                 const Parameters& parameters, std::vector<Effect>& effects) {
  const SettingChange& setting = *part.setting;
  if (setting.is_local || routing::is_transaction_setting(setting.name)) return;
  if (setting.name == "seed") return;  // said again it would make random() repeat itself
  switch (setting.kind) {
    case SettingChange::Kind::kSet:
      if (auto value = value_of(statement, setting, parameters))
        effects.push_back({Effect::Kind::kSet, index, setting.name, std::move(*value)});
      break;
    case SettingChange::Kind::kReset:
      effects.push_back({Effect::Kind::kReset, index, setting.name, ""});
      break;
    case SettingChange::Kind::kResetAll:
      effects.push_back({Effect::Kind::kResetAll, index, "", ""});
      break;
  }
}

// SET SESSION CHARACTERISTICS names the modes of later transactions.
bool is_characteristics(const AnalyzedStatement& statement, const StatementPart& part) {
  return part.kind == StatementKind::kSetTransaction &&
         routing::is_keyword(token_text(statement, part.first_token + 1), "session");
}

bool is_mode(const AnalyzedStatement& statement, const StatementPart& part) {
  return part.kind == StatementKind::kBegin ||
         (part.kind == StatementKind::kSetTransaction && !is_characteristics(statement, part)) ||
         (part.kind == StatementKind::kSet && part.setting && !part.setting->value_parameter &&
          routing::is_transaction_setting(part.setting->name));
}

// What would have to be said to another server, if the transaction went on there; empty: nothing.
std::string said_by(const AnalyzedStatement& statement, const StatementPart& part,
                    const Parameters& parameters) {
  switch (part.kind) {
    case StatementKind::kSet:
      if (part.setting && part.setting->value_parameter) {
        const auto bound = parameters.find(part.setting->value_parameter->index);
        if (!bound || bound->is_null) return {};
        return ClientView::set_config_statement(part.setting->name, bound->bytes, part.setting->is_local);
      }
      [[fallthrough]];
    case StatementKind::kReset:
    case StatementKind::kBegin:
    case StatementKind::kSavepoint:
    case StatementKind::kRelease:
    case StatementKind::kRollbackTo:
    case StatementKind::kSetTransaction:
    case StatementKind::kSetConstraints:
      return std::string(statement.text_of(part));
    default:
      return {};
  }
}

}  // namespace

std::unique_ptr<Effects> Session::effects_of(const AnalyzedStatement& statement,
                                             const Parameters& parameters) const {
  if (statement.plan->is_plain) return nullptr;
  std::vector<Effect> effects;
  const auto& parts = statement.plan->parts;
  bool is_bound = transaction_.is_bound();
  for (size_t i = 0; i < parts.size(); ++i) {
    const StatementPart& part = parts[i];
    if (part.kind == StatementKind::kCommit || part.kind == StatementKind::kRollback) is_bound = false;
    if (part.setting) add_setting(statement, part, i, parameters, effects);
    switch (part.kind) {
      case StatementKind::kSavepoint:
        effects.push_back({Effect::Kind::kSavepoint, i, part.name, ""});
        break;
      case StatementKind::kRelease:
        effects.push_back({Effect::Kind::kRelease, i, part.name, ""});
        break;
      case StatementKind::kRollbackTo:
        effects.push_back({Effect::Kind::kRollbackTo, i, part.name, ""});
        break;
      case StatementKind::kSetTransaction:
        if (is_characteristics(statement, part)) add_characteristics(statement, part, i, effects);
        break;
      case StatementKind::kDeallocate:
        if (part.name.empty()) effects.push_back({Effect::Kind::kForgetPlans, i, "", ""});
        break;
      case StatementKind::kDiscard:
        if (part.is_discard_all()) effects.push_back({Effect::Kind::kDiscardAll, i, "", ""});
        break;
      case StatementKind::kDdl:
        effects.push_back({Effect::Kind::kDdl, i, "", ""});
        break;
      default:
        break;
    }
    if (is_bound && !is_mode(statement, part)) continue;
    if (std::string said = said_by(statement, part, parameters); !said.empty())
      effects.push_back(
          {is_mode(statement, part) ? Effect::Kind::kMode : Effect::Kind::kSpoken, i, "", std::move(said)});
    if (part.kind != StatementKind::kReset || !part.setting || part.setting->is_local) continue;
    // Another server would reset it to its own default.
    for (std::string& again : view_.start_up_statements(part.setting->name))
      effects.push_back({Effect::Kind::kSpoken, i, "", std::move(again)});
  }
  if (effects.empty()) return nullptr;
  auto made = std::make_unique<Effects>();
  made->on_complete = std::move(effects);
  return made;
}

void Session::apply(const Effect& effect) {
  switch (effect.kind) {
    case Effect::Kind::kSpoken:
    case Effect::Kind::kMode:
      transaction_.say(effect.value, effect.kind == Effect::Kind::kMode, environment_.max_held_bytes);
      break;
    case Effect::Kind::kDdl:
      on_schema_change();
      transaction_.has_changed_schema = true;
      break;
    case Effect::Kind::kForgetPlans:
      forget_plans();
      break;
    case Effect::Kind::kDiscardAll:
      forget_plans();
      view_.commit();  // it does so at once
      view_.reset_all();
      leg_.server().settings = environment_.name_values->empty();
      leg_.server().has_used_sequences = leg_.remains.has_own_sequences = false;
      leg_.remains.pins = {};
      break;
    case Effect::Kind::kResetAll:
      transaction_.may_change_pins = true;
      leg_.remains.pins.remove(routing::Pin::kSetting);
      [[fallthrough]];
    default:
      view_.apply(effect, &leg_.server().settings);
      break;
  }
}

void Session::forget_plans() {
  leg_.server().statements.clear();
  leg_.server().to_close.clear();
  leg_.server().unnamed.reset();
}

void Session::on_schema_change() {
  ++environment_.ddl_statements;
  if (environment_.schema_changes != nullptr) environment_.schema_changes->note();
  environment_.statements->forget_schema();
}

}  // namespace mosaic::proxy
