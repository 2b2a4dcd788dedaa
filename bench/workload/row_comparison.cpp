#include "bench/workload/row_comparison.h"

#include <fmt/format.h>

#include <charconv>

#include "bench/workload/connection.h"
#include "bench/workload/operation.h"

namespace mosaic::workload {

namespace {

constexpr size_t kExamplesMax = 20;

int64_t integer(const PGresult* result, int row, int column) {
  const std::string_view text = field(result, row, column);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

RowKey key_in(Table table, const PGresult* result, int row) {
  const bool has_two = table == Table::kLikes || table == Table::kFollows;
  return {integer(result, row, 0), has_two ? integer(result, row, 1) : 0};
}

uint64_t digest_in(Table table, const PGresult* result, int row) {
  const int64_t user_id = user_in(table, result, row);
  switch (table) {
    case Table::kUsers:
      return digest_of(user_id, {field(result, row, 1), field(result, row, 2), field(result, row, 3)});
    case Table::kMedia:
      return photo_digest(user_id, field(result, row, 2), field(result, row, 3), integer(result, row, 4));
    case Table::kLikes:
      return like_digest(user_id);
    case Table::kComments:
      return comment_digest(user_id, integer(result, row, 2), field(result, row, 3));
    case Table::kFollows:
      return follow_digest(user_id);
  }
  return 0;
}

std::string row_name(Table table, const RowKey& key) {
  return key.second == 0 ? fmt::format("{} {}", to_text(table), key.first)
                         : fmt::format("{} ({}, {})", to_text(table), key.first, key.second);
}

}  // namespace

void Verification::add(std::string difference) {
  ++differences;
  if (examples.size() < kExamplesMax) examples.push_back(std::move(difference));
}

std::string_view compared_columns(Table table) {
  switch (table) {
    case Table::kUsers:
      return "user_id, name, bio, country, edit_count";
    case Table::kMedia:
      return "id, user_id, caption, filter, width";
    case Table::kLikes:
      return "user_id, media_id";
    case Table::kComments:
      return "id, user_id, media_id, body";
    case Table::kFollows:
      return "user_id, followee_id";
  }
  return "";
}

int64_t user_in(Table table, const PGresult* result, int row) {
  const bool has_id = table == Table::kMedia || table == Table::kComments;
  return integer(result, row, has_id ? 1 : 0);
}

int64_t id_in(Table table, const PGresult* result, int row) {
  const bool has_id = table == Table::kMedia || table == Table::kComments;
  return has_id ? integer(result, row, 0) : 0;
}

void RowComparison::add(Table table, const PGresult* result, int row, const std::string& where) {
  const int64_t user_id = user_in(table, result, row);
  if (!population_.holds(user_id)) return;
  const auto index = static_cast<size_t>(table);
  const RowKey key = key_in(table, result, row);
  const uint64_t digest = digest_in(table, result, row);
  ++verification_.rows_compared;
  if (table == Table::kUsers) check_edit_count(user_id, field(result, row, 4), where);

  const auto expected = oracle_.rows(table).find(key);
  if (expected == oracle_.rows(table).end()) {
    const auto& tried = oracle_.unidentified(table);
    const auto attempt = tried.find(digest);
    if (attempt != tried.end() && ++unidentified_seen_[index][digest] <= attempt->second) return;
    verification_.add(fmt::format("extra: {} of user {} in {}: nobody was told that it exists",
                                  row_name(table, key), user_id, where));
    return;
  }
  if (!seen_[index].insert(key).second) {
    verification_.add(fmt::format("twice: {} of user {}, again in {}", row_name(table, key), user_id, where));
  }
  if (digest != expected->second.digest && digest != expected->second.other_digest) {
    verification_.add(fmt::format("changed: {} of user {} in {} does not hold what was written",
                                  row_name(table, key), user_id, where));
  }
}

void RowComparison::check_edit_count(int64_t user_id, std::string_view edit_count, const std::string& where) {
  uint64_t found = 0;
  std::from_chars(edit_count.data(), edit_count.data() + edit_count.size(), found);
  const ExpectedCount expected = oracle_.count_of(user_id);
  if (found >= expected.certain && found <= expected.certain + expected.unknown) return;
  verification_.add(fmt::format("changed: users {} in {} has edit_count {}, but {} edits were committed",
                                user_id, where, found, expected.certain));
}

void RowComparison::finish() {
  for (const Table table : kTables) {
    for (const auto& [key, row] : oracle_.rows(table)) {
      if (row.may_be_absent || seen_[static_cast<size_t>(table)].contains(key)) continue;
      verification_.add(fmt::format("missing: {}", row_name(table, key)));
    }
  }
}

}  // namespace mosaic::workload
