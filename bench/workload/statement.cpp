#include "bench/workload/statement.h"

#include <cassert>

namespace mosaic::workload {

namespace {

struct Entry {
  StatementId id;
  std::string_view name;
  std::string_view text;
};

constexpr Entry kEntries[] = {
    {StatementId::kBegin, "begin", "BEGIN"},
    {StatementId::kCommit, "commit", "COMMIT"},
    {StatementId::kRollback, "rollback", "ROLLBACK"},
    {StatementId::kSignUp, "sign_up",
     "INSERT INTO users (user_id, name, bio, country) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) DO "
     "NOTHING"},
    {StatementId::kReadProfile, "read_profile",
     "SELECT user_id, name, bio, country FROM users WHERE user_id = $1"},
    {StatementId::kReadHome, "read_home",
     "SELECT u.user_id, u.name, c.name FROM users u JOIN countries c ON c.code = u.country WHERE u.user_id = "
     "$1"},
    {StatementId::kReadActivity, "read_activity",
     "SELECT u.user_id, u.name, m.id FROM users u JOIN media m ON m.user_id = u.user_id "
     "WHERE u.user_id = $1 ORDER BY m.id DESC LIMIT 5"},
    {StatementId::kReadFeed, "read_feed",
     "SELECT id, user_id, caption FROM media WHERE user_id = $1 ORDER BY id DESC LIMIT 10"},
    {StatementId::kReadPhoto, "read_photo", "SELECT id, user_id, caption FROM media WHERE id = $1"},
    {StatementId::kUpload, "upload",
     "INSERT INTO media (user_id, caption, filter, width) VALUES ($1, $2, $3, $4) RETURNING id"},
    {StatementId::kLockPhoto, "lock_photo",
     "SELECT id, user_id, caption FROM media WHERE id = $1 FOR UPDATE"},
    {StatementId::kEditCaption, "edit_caption", "UPDATE media SET caption = $2 WHERE id = $1"},
    {StatementId::kCountEdit, "count_edit",
     "UPDATE users SET edit_count = edit_count + 1 WHERE user_id = $1"},
    {StatementId::kLike, "like",
     "INSERT INTO likes (user_id, media_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"},
    {StatementId::kComment, "comment",
     "INSERT INTO comments (user_id, media_id, body) VALUES ($1, $2, $3) RETURNING id"},
    {StatementId::kDeleteComment, "delete_comment", "DELETE FROM comments WHERE id = $1"},
    {StatementId::kFollow, "follow",
     "INSERT INTO follows (user_id, followee_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"},
    {StatementId::kWriteSetting, "write_setting",
     "INSERT INTO app_settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
     "excluded.value"},
    {StatementId::kReadSetting, "read_setting", "SELECT value FROM app_settings WHERE name = $1"},
};
static_assert(std::size(kEntries) == kStatementCount);

const Entry& entry_of(StatementId id) {
  const Entry& entry = kEntries[static_cast<size_t>(id)];
  assert(entry.id == id);
  return entry;
}

void append_literal(std::string& out, const Value& value) {
  if (!value.is_text) {
    out += std::to_string(value.integer);
    return;
  }
  out += '\'';
  for (const char c : value.text) {
    if (c == '\'') out += c;
    out += c;
  }
  out += '\'';
}

}  // namespace

std::string_view to_text(QueryMode mode) {
  switch (mode) {
    case QueryMode::kSimple:
      return "simple";
    case QueryMode::kExtended:
      return "extended";
    case QueryMode::kPrepared:
      return "prepared";
  }
  return "";
}

std::string_view text_of(StatementId id) { return entry_of(id).text; }
std::string_view name_of(StatementId id) { return entry_of(id).name; }

std::string to_literal_text(const BoundStatement& statement) {
  const std::string_view text = text_of(statement.id);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      out += text[i];
      continue;
    }
    // No statement of ours has ten parameters.
    const size_t parameter = static_cast<size_t>(text[++i] - '1');
    assert(parameter < statement.values.size());
    append_literal(out, statement.values[parameter]);
  }
  return out;
}

}  // namespace mosaic::workload
