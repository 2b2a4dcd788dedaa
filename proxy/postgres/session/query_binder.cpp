#include "proxy/postgres/session/query_binder.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/sql/word_copy.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Token;
using routing::TokenKind;

namespace {

// pg_type.dat
constexpr uint32_t kInt8Oid = 20, kInt4Oid = 23, kTextOid = 25, kNumericOid = 1700;

// The type that PostgreSQL gives an integer literal by its size (manual, "Numeric Constants").
uint32_t type_of_integer(std::string_view digits) {
  if (digits.size() < 10) return kInt4Oid;
  int64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
    return kNumericOid;
  return value <= std::numeric_limits<int32_t>::max() ? kInt4Oid : kInt8Oid;
}

}  // namespace

// Values go as text: as they are written. False: the literal stays in the statement.
bool QueryBinder::append_value(std::string_view token, TokenKind kind, routing::Reading reading) {
  uint32_t type = kNumericOid;
  std::string_view value = token;
  if (kind == TokenKind::kInteger) {
    type = type_of_integer(token);
  } else if (kind == TokenKind::kString) {
    const auto read = routing::read_string_literal(token, reading, scratch_);
    if (!read) return false;
    type = kTextOid;
    value = *read;
  }
  values_.append_u32(static_cast<uint32_t>(value.size()));
  values_.append(value);
  const char bytes[] = {static_cast<char>(type >> 24), static_cast<char>(type >> 16),
                        static_cast<char>(type >> 8), static_cast<char>(type)};
  types_.append(bytes, sizeof bytes);
  return true;
}

const QueryBinder::BoundQuery* QueryBinder::bind(const AnalyzedStatement& statement) {
  if (statement.plan->parts.size() != 1) return nullptr;
  const auto& bindable = statement.plan->parts[0].bindable;
  if (bindable.empty() || bindable.size() > kParametersMax || statement.text.size() > kTextBytesMax)
    return nullptr;
  text_.clear();
  types_.clear();
  values_.clear();
  values_.append_u16(0);  // all values are text
  values_.append_u16(0);  // how many there are
  size_t copied = 0;
  uint16_t count = 0;
  for (const uint32_t index : bindable) {
    const Token& token = statement.tokens[index];
    if (!append_value(statement.text.substr(token.begin, token.end - token.begin), token.kind,
                      statement.reading))
      continue;
    text_ += statement.text.substr(copied, token.begin - copied);
    if (!text_.empty() && routing::is_word_part(text_.back())) text_ += ' ';
    char number[8] = {'$'};
    const char* end = std::to_chars(number + 1, number + sizeof number, ++count).ptr;
    text_.append(number, static_cast<size_t>(end - number));
    copied = token.end;
    if (copied < statement.text.size() && routing::is_word_part(statement.text[copied])) text_ += ' ';
  }
  if (count == 0) return nullptr;
  text_ += statement.text.substr(copied);
  values_.data()[2] = static_cast<char>(count >> 8);
  values_.data()[3] = static_cast<char>(count);
  values_.append_u16(0);  // all columns as text
  query_ = {text_, types_, values_.view()};
  return &query_;
}

bool QueryBinder::is_familiar(const BoundQuery& query, uint32_t threshold) {
  const uint64_t hash = XXH3_64bits_withSeed(query.text.data(), query.text.size(),
                                             XXH3_64bits(query.types.data(), query.types.size()));
  Counter* const set = &counters_[(hash % kSets) * kWays];
  Counter* least = set;
  for (Counter* counter = set; counter != set + kWays; ++counter) {
    if (counter->hash == hash && counter->uses > 0) {
      counter->uses = std::min(counter->uses + 1, kUsesMax);
      return counter->uses >= threshold;
    }
    if (counter->uses < least->uses) least = counter;
  }
  if (least->uses > 0) {
    --least->uses;
    return false;
  }
  *least = {hash, 1};
  return threshold <= 1;
}

}  // namespace mosaic::proxy
