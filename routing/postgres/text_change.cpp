// Maps positions in a text that was sent back to the client's text. PostgreSQL counts positions in characters
// (manual, "Error and Notice Message Fields"), of UTF-8 here: bytes that continue a character do not count.

#include <algorithm>
#include <cstring>

#include "routing/postgres/router.h"
#include "routing/postgres/splice_spaces.h"

namespace mosaic::routing {

namespace {

// Eight bytes at a time, because this runs for each statement.
bool is_ascii(std::string_view text) {
  uint64_t all = 0, eight = 0;
  if (text.size() < sizeof eight) {
    for (const char c : text) all |= static_cast<unsigned char>(c);
    return (all & 0x80) == 0;
  }
  const size_t last = text.size() - sizeof eight;  // overlaps the one before it
  for (size_t at = 0; at < last; at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    all |= eight;
  }
  std::memcpy(&eight, text.data() + last, sizeof eight);
  return ((all | eight) & 0x8080808080808080) == 0;
}

uint32_t count_characters(std::string_view text) {
  if (is_ascii(text)) return static_cast<uint32_t>(text.size());
  return static_cast<uint32_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void collect_text_changes(const AnalyzedStatement& statement, const Route& route,
                          const CatalogSnapshot& catalog, std::vector<TextChange>& changes) {
  changes.clear();
  size_t counted_bytes = 0;
  uint32_t counted = 0;
  for (size_t i = 0; i < statement.plan->parts.size(); ++i) {
    const StatementPart& part = statement.plan->parts[i];
    if (part.splices.empty()) continue;
    const auto schema_length = static_cast<uint32_t>(catalog.schema_of(route.shard_of_part(i)).size());
    for (const Splice& splice : part.splices) {
      const uint32_t begin = statement.tokens[splice.token].begin;
      const uint32_t end = statement.tokens[splice.token + splice.count - 1].end;
      counted += count_characters(statement.text.substr(counted_bytes, begin - counted_bytes));
      const uint32_t old_length = count_characters(statement.text.substr(begin, end - begin));
      const SpliceSpaces spaces = spaces_around(statement.text, begin, end);
      changes.push_back({counted, old_length,
                         static_cast<uint32_t>(spaces.before + schema_length + 1 +
                                               count_characters(splice.name) + spaces.after)});
      counted += old_length;
      counted_bytes = end;
    }
  }
}

void collect_renaming_changes(const AnalyzedStatement& statement, TokenRange name, size_t new_length,
                              std::vector<TextChange>& changes) {
  const uint32_t begin = statement.tokens[name.first].begin, end = statement.tokens[name.last - 1].end;
  changes.assign(
      1, {count_characters(statement.text.substr(0, begin)),
          count_characters(statement.text.substr(begin, end - begin)), static_cast<uint32_t>(new_length)});
}

void add_inner_changes(std::string_view before, std::span<const TextChange> inner,
                       std::vector<TextChange>& changes) {
  const uint32_t offset = count_characters(before);
  for (TextChange change : inner) {
    change.at += offset;
    changes.push_back(change);
  }
}

uint32_t original_position(std::span<const TextChange> changes, uint32_t sent_position) {
  uint32_t grown = 0;  // how much longer the sent text is before the change at hand
  for (const TextChange& change : changes) {
    const uint32_t sent_at = change.at + grown + 1;
    if (sent_position < sent_at) break;
    if (sent_position < sent_at + change.new_length) return change.at + 1;
    grown += change.new_length - change.old_length;
  }
  return sent_position - grown;
}

}  // namespace mosaic::routing
