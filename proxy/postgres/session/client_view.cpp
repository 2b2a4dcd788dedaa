#include "proxy/postgres/session/client_view.h"

#include <algorithm>

#include "routing/postgres/sql/setting_rules.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

namespace {

constexpr char kRaw = 'R';
constexpr char kSetConfig = 'C';

void assign_hint(std::vector<std::pair<std::string, std::string>>& hints, std::string name,
                 std::string value) {
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

// "app"."user": any word may be part of a setting's name, keywords too.
std::string quoted_name(std::string_view name) {
  std::string quoted;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    if (begin > 0) quoted += '.';
    quoted += routing::quote_identifier(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return quoted;
}

void add(std::string& sql, std::string_view statement) {
  if (!sql.empty()) sql += ';';
  sql += statement;
}

// SET would take a list of these as one name (GUC_LIST_QUOTE in guc.c).
bool is_list_of_names(std::string_view name) {
  return name == "search_path" || name == "temp_tablespaces" || name.ends_with("_preload_libraries");
}

std::string assignment(const std::string& name, const std::string& value) {
  const std::string_view written = std::string_view(value).substr(1);
  std::string sql;
  if (value.front() == kRaw) {
    // set_config takes a list as one string, as the start-up packet does. But it takes a snapshot, behind
    // which a transaction can not be given a level any more.
    if (is_list_of_names(name)) return ClientView::set_config_statement(name, written, false);
    return sql.append("SET ")
        .append(quoted_name(name))
        .append(" TO ")
        .append(routing::quote_literal(written));
  }
  if (value.front() == kSetConfig) {
    sql.append("SELECT pg_catalog.set_config(").append(routing::quote_literal(name)).append(",");
    sql.append(written).append(",false)");
  } else if (name == "timezone") {
    sql.append("SET TIME ZONE ").append(written);  // the only form that takes INTERVAL and LOCAL
  } else {
    sql.append("SET ").append(quoted_name(name)).append(" TO ").append(written);
  }
  return sql;
}

// Who one is decides what one may set: it comes off first, and is put on last.
bool is_identity(std::string_view name) { return name == "session_authorization" || name == "role"; }

}  // namespace

ClientView::ClientView(pool::NameValuesTable& tables)
    : tables_(tables), startup_(tables.empty()), wanted_(tables.empty()), told_(tables.empty()) {}

void ClientView::start(const std::vector<std::pair<std::string, std::string>>& startup_settings) {
  for (const auto& [name, value] : startup_settings) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    startup_ = tables_.with(startup_, lower, kRaw + value);
  }
  wanted_ = startup_;
}

void ClientView::mark_start(const pool::NameValuesRef& server) {
  if (marks_.empty()) marks_.push_back(Mark{"", wanted_, server, hints_});
}

uint32_t ClientView::parse_context(ParseContexts& contexts) {
  if (parse_context_.settings != wanted_) parse_context_ = {wanted_, contexts.id_of(*wanted_)};
  return parse_context_.id;
}

std::string ClientView::search_path() const {
  const std::string* value = wanted_->find("search_path");
  if (value == nullptr) return {};
  const std::string_view written = std::string_view(*value).substr(1);
  if (value->front() != kSetConfig) return std::string(written);
  std::string scratch;
  return std::string(routing::read_string_literal(written, routing::Reading{}, scratch).value_or(written));
}

void ClientView::apply(const Effect& effect, pool::NameValuesRef* server) {
  pool::NameValuesRef none = wanted_;
  pool::NameValuesRef& there = server != nullptr ? *server : none;
  const auto find_mark = [&] {
    return std::find_if(marks_.rbegin(), marks_.rend(),
                        [&](const Mark& mark) { return mark.savepoint == effect.name; });
  };
  switch (effect.kind) {
    case Effect::Kind::kSet:
      mark_start(there);
      // PostgreSQL drops the role when the user changes (set_session_authorization, variable.c).
      if (effect.name == "session_authorization") {
        wanted_ = tables_.with(wanted_, "role", std::nullopt);
        there = tables_.with(there, "role", std::nullopt);
      }
      wanted_ = tables_.with(wanted_, effect.name, effect.value);
      there = tables_.with(there, effect.name, effect.value);
      break;
    case Effect::Kind::kReset: {
      mark_start(there);
      if (effect.name == "session_authorization") {
        wanted_ = tables_.with(wanted_, "role", std::nullopt);
        there = tables_.with(there, "role", std::nullopt);
      }
      const std::string* at_start = startup_->find(effect.name);
      wanted_ = tables_.with(wanted_, effect.name,
                             at_start != nullptr ? std::optional<std::string_view>(*at_start) : std::nullopt);
      there = tables_.with(there, effect.name, std::nullopt);
      break;
    }
    case Effect::Kind::kResetAll: {
      mark_start(there);
      // RESET ALL leaves who one is (GUC_NO_RESET_ALL, guc.c).
      pool::NameValuesRef wanted = startup_, left = tables_.empty();
      for (const char* name : {"session_authorization", "role"}) {
        if (const std::string* value = wanted_->find(name)) wanted = tables_.with(wanted, name, *value);
        if (const std::string* value = there->find(name)) left = tables_.with(left, name, *value);
      }
      wanted_ = std::move(wanted);
      there = std::move(left);
      break;
    }
    case Effect::Kind::kSavepoint:
      mark_start(there);
      marks_.push_back(Mark{effect.name, wanted_, there, hints_});
      break;
    case Effect::Kind::kRelease:
      if (const auto found = find_mark(); found != marks_.rend())
        marks_.erase(found.base() - 1, marks_.end());
      break;
    case Effect::Kind::kRollbackTo: {
      const auto found = find_mark();
      if (found == marks_.rend()) break;
      marks_.erase(found.base(), marks_.end());  // those behind it; the savepoint itself stays
      wanted_ = marks_.back().wanted;
      there = marks_.back().server;
      hints_ = marks_.back().hints;
      break;
    }
    default:
      break;  // the session's
  }
}

void ClientView::follow(pool::NameValuesRef& server) {
  for (Mark& mark : marks_) mark.server = mark.wanted;
  server = wanted_;
}

std::string ClientView::statement_to_reach(const pool::NameValuesRef& server,
                                           const pool::NameValuesRef& target) {
  std::string sql;
  if (server == target) return sql;
  const auto has_identity = [](const pool::NameValuesRef& settings) {
    return settings->find("session_authorization") != nullptr || settings->find("role") != nullptr;
  };
  if (has_identity(server)) sql = "RESET ROLE;RESET SESSION AUTHORIZATION";
  for (const auto& [name, value] : server->entries()) {
    if (!is_identity(name) && target->find(name) == nullptr) add(sql, "RESET " + quoted_name(name));
  }
  for (const auto& [name, value] : target->entries()) {
    if (is_identity(name)) continue;
    const std::string* there = server->find(name);
    if (there == nullptr || *there != value) add(sql, assignment(name, value));
  }
  for (const char* name : {"session_authorization", "role"}) {
    if (const std::string* value = target->find(name)) add(sql, assignment(name, *value));
  }
  return sql;
}

std::vector<std::string> ClientView::parsing_changes(const pool::NameValues* from,
                                                     const pool::NameValues* to) {
  const pool::NameValues none({});
  const pool::NameValues& before = from == nullptr ? none : *from;
  const pool::NameValues& after = to == nullptr ? none : *to;
  std::vector<std::string> statements;
  const auto is_meant = [](const std::string& name) {
    return affects_parsing(name) && !routing::is_reading_setting(name);
  };
  for (const auto& [name, value] : before.entries()) {
    if (is_meant(name) && after.find(name) == nullptr) statements.push_back("RESET " + quoted_name(name));
  }
  for (const auto& [name, value] : after.entries()) {
    if (!is_meant(name)) continue;
    const std::string* old = before.find(name);
    if (old == nullptr || *old != value) statements.push_back(assignment(name, value));
  }
  return statements;
}

std::string ClientView::set_config_statement(std::string_view name, std::string_view value, bool is_local) {
  return "SELECT pg_catalog.set_config(" + routing::quote_literal(name) + "," +
         routing::quote_literal(value) + (is_local ? ",true)" : ",false)");
}

std::string ClientView::statement_of(const Effect& effect) {
  if (effect.kind == Effect::Kind::kResetAll) return "RESET ALL";
  if (effect.kind == Effect::Kind::kReset) return "RESET " + quoted_name(effect.name);
  return assignment(effect.name, effect.value);
}

void ClientView::commit() {
  marks_.clear();
  local_hints_.clear();
}

void ClientView::roll_back(pool::NameValuesRef* server) {
  local_hints_.clear();
  if (marks_.empty()) return;
  wanted_ = marks_.front().wanted;
  hints_ = marks_.front().hints;
  if (server != nullptr) *server = marks_.front().server;
  marks_.clear();
}

bool ClientView::has_start_up(std::string_view name) const {
  if (!name.empty()) return startup_->find(name) != nullptr;
  const auto& entries = startup_->entries();
  return std::any_of(entries.begin(), entries.end(),
                     [](const auto& entry) { return entry.first != "application_name"; });
}

std::vector<std::string> ClientView::start_up_statements(std::string_view name) const {
  std::vector<std::string> statements;
  for (const auto& [given, value] : startup_->entries()) {
    if (name.empty() || given == name) statements.push_back(assignment(given, value));
  }
  return statements;
}

void ClientView::reset_all() {
  wanted_ = startup_;
  hints_.clear();
  local_hints_.clear();
}

void ClientView::adopt(const std::string& name, const std::string& value, pool::NameValuesRef& server) {
  if (routing::is_transaction_setting(name)) return;
  wanted_ = tables_.with(wanted_, name, kRaw + value);
  server = tables_.with(server, name, kRaw + value);
}

void ClientView::complete_date_style(pool::NameValuesRef& server, const pool::NameValuesRef& reported) {
  const std::string* style = wanted_->find("datestyle");
  if (style == nullptr || style->front() == kRaw) return;
  const std::string* whole = reported->find("DateStyle");
  if (whole == nullptr) return;
  const std::string value = kRaw + *whole;
  wanted_ = tables_.with(wanted_, "datestyle", value);
  server = tables_.with(server, "datestyle", value);
}

void ClientView::tell(const pool::NameValuesRef& parameters, routing::ByteBuffer& out) {
  if (told_ == parameters || compared_ == parameters) return;
  for (const auto& [name, value] : parameters->entries()) {
    const std::string* known = told_->find(name);
    if (known == nullptr || *known != value) routing::append_parameter_status(out, name, value);
  }
  pool::NameValuesRef now = parameters;
  for (const auto& [name, value] : told_->entries()) {
    if (parameters->find(name) == nullptr) now = tables_.with(now, name, value);
  }
  told_ = std::move(now);
  compared_ = parameters;
}

const ClientView::Followed& ClientView::follow() const {
  if (followed_.parameters == told_) return followed_;
  const std::string* conforming = told_->find("standard_conforming_strings");
  const std::string* encoding = told_->find("client_encoding");
  followed_.parameters = told_;
  followed_.reading = routing::Reading{conforming == nullptr || *conforming != "off"};
  followed_.encoding =
      encoding == nullptr ? routing::ClientEncoding::kUtf8 : routing::find_client_encoding(*encoding);
  return followed_;
}

void ClientView::set_hint(std::string name, std::string value, bool is_local) {
  assign_hint(is_local ? local_hints_ : hints_, std::move(name), std::move(value));
}

void ClientView::reset_hint(std::string_view name) {
  std::erase_if(hints_, [&](const auto& hint) { return hint.first == name; });
  std::erase_if(local_hints_, [&](const auto& hint) { return hint.first == name; });
}

routing::Hint ClientView::hint() const {
  if (!local_hints_.empty()) return best_of(local_hints_);
  if (!hints_.empty()) return best_of(hints_);
  return {};
}

}  // namespace mosaic::proxy
