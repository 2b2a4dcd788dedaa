#include "proxy/postgres/session/client_settings.h"

#include <algorithm>

#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

namespace {

constexpr char kRaw = 'R';
constexpr char kSetConfig = 'C';

void assign(std::vector<std::pair<std::string, std::string>>& hints, std::string name, std::string value) {
  std::erase_if(hints, [&](const auto& hint) { return hint.first == name; });
  hints.emplace_back(std::move(name), std::move(value));
}

// mosaic.shard says more than a key; otherwise the latest counts.
routing::Hint best_of(const std::vector<std::pair<std::string, std::string>>& hints) {
  const auto shard =
      std::find_if(hints.begin(), hints.end(), [](const auto& h) { return h.first == "mosaic.shard"; });
  if (shard != hints.end()) return {routing::Hint::Kind::kShard, shard->second};
  return {routing::Hint::Kind::kKey, hints.back().second};
}

void append_assignment(std::string& sql, const std::string& name, const std::string& value) {
  if (!sql.empty()) sql += ';';
  const std::string_view written = std::string_view(value).substr(1);
  if (value.front() == kRaw) {
    // set_config takes a list ('a, b' for search_path) as one string, as the start-up packet does; SET would
    // not.
    sql += "SELECT pg_catalog.set_config(" + routing::quote_literal(name) + "," +
           routing::quote_literal(written) + ",false)";
  } else if (value.front() == kSetConfig) {
    sql.append("SELECT pg_catalog.set_config(").append(routing::quote_literal(name)).append(",");
    sql.append(written).append(",false)");
  } else if (name == "timezone") {
    sql.append("SET TIME ZONE ").append(written);  // the only form that takes INTERVAL and LOCAL
  } else {
    sql.append("SET ").append(name).append(" TO ").append(written);
  }
}

}  // namespace

ClientSettings::ClientSettings(pool::NameValuesTable& tables)
    : tables_(tables), startup_(tables.empty()), wanted_(tables.empty()) {}

void ClientSettings::start(const std::vector<std::pair<std::string, std::string>>& startup_settings) {
  for (const auto& [name, value] : startup_settings) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    startup_ = tables_.with(startup_, lower, kRaw + value);
  }
  wanted_ = startup_;
}

void ClientSettings::mark_start(const pool::NameValuesRef& server, const pool::NameValuesRef& seen) {
  if (marks_.empty()) marks_.push_back(Mark{"", wanted_, server, seen, hints_});
}

std::string ClientSettings::search_path() const {
  const std::string* value = wanted_->find("search_path");
  if (value == nullptr) return {};
  const std::string_view written = std::string_view(*value).substr(1);
  std::string scratch;
  if (value->front() == kSetConfig)
    return std::string(routing::read_string_literal(written, scratch).value_or(written));
  return std::string(written);
}

void ClientSettings::apply(const SettingEffect& effect, pool::NameValuesRef& server,
                           const pool::NameValuesRef& seen) {
  switch (effect.kind) {
    case SettingEffect::Kind::kSet:
      mark_start(server, seen);
      wanted_ = tables_.with(wanted_, effect.name, effect.value);
      server = tables_.with(server, effect.name, effect.value);
      break;
    case SettingEffect::Kind::kReset: {
      mark_start(server, seen);
      const std::string* at_start = startup_->find(effect.name);
      wanted_ = tables_.with(wanted_, effect.name,
                             at_start != nullptr ? std::optional<std::string_view>(*at_start) : std::nullopt);
      server = tables_.with(server, effect.name, std::nullopt);
      break;
    }
    case SettingEffect::Kind::kResetAll:
      mark_start(server, seen);
      wanted_ = startup_;
      server = tables_.empty();
      break;
    case SettingEffect::Kind::kSavepoint:
      mark_start(server, seen);
      marks_.push_back(Mark{effect.name, wanted_, server, seen, hints_});
      break;
    case SettingEffect::Kind::kRollbackTo: {
      const auto found = std::find_if(marks_.rbegin(), marks_.rend(),
                                      [&](const Mark& mark) { return mark.savepoint == effect.name; });
      if (found == marks_.rend()) break;
      marks_.erase(found.base(), marks_.end());  // those behind it; the savepoint itself stays
      wanted_ = marks_.back().wanted;
      server = marks_.back().server;
      hints_ = marks_.back().hints;
      break;
    }
    case SettingEffect::Kind::kPin:
    case SettingEffect::Kind::kDdl:
      break;  // the session's
  }
}

std::string ClientSettings::statement_to_reach(const pool::NameValuesRef& server) const {
  std::string sql;
  if (server == wanted_) return sql;
  for (const auto& [name, value] : server->entries()) {
    if (wanted_->find(name) != nullptr) continue;
    if (!sql.empty()) sql += ';';
    sql.append("RESET ").append(name);
  }
  for (const auto& [name, value] : wanted_->entries()) {
    const std::string* there = server->find(name);
    if (there == nullptr || *there != value) append_assignment(sql, name, value);
  }
  return sql;
}

std::string ClientSettings::statement_of(const SettingEffect& effect) {
  if (effect.kind == SettingEffect::Kind::kResetAll) return "RESET ALL";
  if (effect.kind == SettingEffect::Kind::kReset) return "RESET " + effect.name;
  std::string sql;
  append_assignment(sql, effect.name, effect.value);
  return sql;
}

void ClientSettings::commit() {
  marks_.clear();
  local_hints_.clear();
}

void ClientSettings::roll_back(pool::NameValuesRef* server) {
  local_hints_.clear();
  if (marks_.empty()) return;
  wanted_ = marks_.front().wanted;
  hints_ = marks_.front().hints;
  if (server != nullptr) *server = marks_.front().server;
  marks_.clear();
}

void ClientSettings::rebase(const pool::NameValuesRef& server) {
  for (Mark& mark : marks_) mark.server = server;
}

void ClientSettings::reset_all() {
  wanted_ = startup_;
  hints_.clear();
  local_hints_.clear();
}

void ClientSettings::set_hint(std::string name, std::string value, bool is_local) {
  assign(is_local ? local_hints_ : hints_, std::move(name), std::move(value));
}

void ClientSettings::reset_hint(std::string_view name) {
  std::erase_if(hints_, [&](const auto& hint) { return hint.first == name; });
  std::erase_if(local_hints_, [&](const auto& hint) { return hint.first == name; });
}

routing::Hint ClientSettings::hint() const {
  if (!local_hints_.empty()) return best_of(local_hints_);
  if (!hints_.empty()) return best_of(hints_);
  return {};
}

}  // namespace mosaic::proxy
