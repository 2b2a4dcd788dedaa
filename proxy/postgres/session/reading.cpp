// How the client's text is read (standard_conforming_strings, client_encoding): by what a server has reported
// last, see ClientView. While what was sent may change it nothing more can be read: the server reports it
// with its ReadyForQuery (PostgreSQL, ReportChangedGUCOptions() in postgres.c).

#include <algorithm>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::StatementKind;

namespace {

bool may_change_reading(const routing::StatementPart& part) {
  if (part.kind == StatementKind::kDiscard || part.pins.has(routing::Pin::kSetting)) return true;
  if (std::any_of(part.untold_settings.begin(), part.untold_settings.end(), routing::is_reading_setting))
    return true;
  return part.setting && (part.setting->kind == routing::SettingChange::Kind::kResetAll ||
                          routing::is_reading_setting(part.setting->name));
}

bool ends_settings(StatementKind kind) {
  return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
         kind == StatementKind::kRollbackTo || kind == StatementKind::kPrepareTransaction;
}

}  // namespace

// `statement` is on its way to the server.
void Session::note_reading_changes(const AnalyzedStatement& statement) {
  if (statement.plan->is_plain) return;
  for (const auto& part : statement.plan->parts) {
    group_.has_reset_start_up |= resets_start_up(part);
    if (may_change_reading(part)) group_.is_reading_in_doubt = transaction_.changes_reading = true;
    if (transaction_.changes_reading && ends_settings(part.kind)) group_.is_reading_in_doubt = true;
  }
}

// Text of ASCII without a backslash means the same by every setting.
bool Session::is_reading_in_doubt(std::string_view message) const {
  return group_.is_reading_in_doubt && std::any_of(message.begin(), message.end(), [](char c) {
           return c == '\\' || static_cast<unsigned char>(c) >= 0x80;
         });
}

// A name that the search path decides, behind a change of it that only the server knows: SET LOCAL, or an
// earlier statement of the same query. Only where another schema has a table of a listed table's name.
std::optional<Error> Session::shadowed_name_error(const AnalyzedStatement& statement) {
  if (!catalog().has_shadowed_tables()) return {};
  const auto& parts = statement.plan->parts;
  const auto may_change_path = [](const routing::StatementPart& part) {
    return part.kind == StatementKind::kDiscard || ends_settings(part.kind) ||
           (part.setting && (part.setting->kind == routing::SettingChange::Kind::kResetAll ||
                             part.setting->name == "search_path")) ||
           std::find(part.untold_settings.begin(), part.untold_settings.end(), "search_path") !=
               part.untold_settings.end();
  };
  const bool is_in_doubt = transaction_.has_local_search_path || group_.changes_settings ||
                           (parts.size() > 1 && std::any_of(parts.begin(), parts.end(), may_change_path));
  if (!is_in_doubt) return {};
  const auto names_shadowed = [this](const routing::StatementPart& part) {
    return std::any_of(part.uses.begin(), part.uses.end(), [this](const routing::TableUse& use) {
      return catalog().tables()[use.table].is_shadowed();
    });
  };
  if (std::none_of(parts.begin(), parts.end(), names_shadowed)) return {};
  return Error{
      routing::sqlstate::kFeatureNotSupported,
      "the search_path decides which table of this name is meant, and may name another one",
      "Another schema has a table of this name, and the path was changed by SET LOCAL, or just before.",
      "Write the table's schema, or change the path by SET in a query of its own."};
}

// Read, and its names looked up, as a text would be that came now.
bool Session::is_as_now(const PreparedStatement& statement) const {
  return statement.reading == view_.reading() && statement.scope == scope();
}

// RESET of what the client gave at start-up: servers reset it to their own default, and are given the
// client's behind the statement. What stands between would see the wrong one.
bool Session::resets_start_up(const routing::StatementPart& part) const {
  if (!part.setting || part.setting->is_local) return false;
  if (part.setting->kind == routing::SettingChange::Kind::kResetAll) return view_.has_start_up("");
  return part.setting->kind == routing::SettingChange::Kind::kReset && view_.has_start_up(part.setting->name);
}

// Whether a part of it would see.
bool Session::sees_reset(const AnalyzedStatement& statement) const {
  bool is_reset = group_.has_reset_start_up;
  if (statement.plan->is_plain) return is_reset;
  for (const auto& part : statement.plan->parts) {
    const bool may_see = !part.setting && !ends_settings(part.kind) && part.kind != StatementKind::kBegin &&
                         part.kind != StatementKind::kEmpty;
    if (is_reset && may_see) return true;
    is_reset |= resets_start_up(part);
  }
  return false;
}

Error Session::reset_error() {
  return Error{routing::sqlstate::kFeatureNotSupported,
               "a statement behind RESET of a setting that was given at start-up, before its Sync",
               "Servers reset it to their own default; the client's is set again behind the query.",
               "Send the RESET as a query of its own, or Sync behind it."};
}

Error Session::reading_in_doubt_error() {
  return Error{
      routing::sqlstate::kFeatureNotSupported,
      "a statement behind a change of standard_conforming_strings or client_encoding, before its Sync",
      "Mosaic reads statements as the server will: it must know first whether the change was made",
      "send Sync behind the change"};
}

// PostgreSQL reads a statement when it is parsed, and runs it as it was read then; what its names mean it
// looks up anew (RevalidateCachedQuery() in plancache.c). A server that gets the text only now gets one that
// means the same under the settings of now.
PreparedStatement& Session::as_read_now(std::string_view name, PreparedStatement& statement) {
  const AnalyzedStatement& view = statement.compiled->view();
  // What is owed to the client has not been read by any server yet.
  const bool is_unread = statements_.owed() == &statement;
  std::string text(statement.text());
  if (!is_unread && statement.reading != view_.reading() &&
      routing::depends_on_reading(view.text, view.tokens))
    text = routing::make_portable(view.text, view.tokens, view.reading).text;
  std::string types;
  for (const uint32_t oid : statement.declared_types) {
    for (const int shift : {24, 16, 8, 0}) types += static_cast<char>(oid >> shift);
  }
  PreparedStatement& other = environment_.statements->acquire(
      {name, text, types}, *environment_.router, catalog(), view_.reading(), statement.sql_types(), scope(),
      is_unread ? parsed_under_now() : statement.parsed_under);
  if (is_unread) statements_.owe(other, statements_.is_owed_unnamed());
  statements_.assign(name, &other, nullptr);
  return other;
}

}  // namespace mosaic::proxy
