#include "routing/postgres/sql/lexeme.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "routing/postgres/sql/word_copy.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace mosaic::routing {

namespace {

constexpr std::string_view kOperatorCharacters = "~!@#^&|`?+-*/%<>=";
// One of these lets an operator end in + or -.
constexpr std::string_view kSpecialCharacters = "~!@#^&|`?%";
constexpr size_t kOperatorLengthMax = 63;  // NAMEDATALEN - 1

constexpr std::array<bool, 256> make_set(std::string_view characters) {
  std::array<bool, 256> set{};
  for (const char c : characters) set[static_cast<unsigned char>(c)] = true;
  return set;
}

constexpr std::array<bool, 256> kIsOperator = make_set(kOperatorCharacters);
constexpr std::array<bool, 256> kIsSpecial = make_set(kSpecialCharacters);

bool is_at(const char* p, const char* end, char c) { return p < end && *p == c; }
bool is_digit(const char* p, const char* end) { return p < end && *p >= '0' && *p <= '9'; }
// A word may not start with a digit or a dollar.
bool is_word_start(const char* p, const char* end) {
  return p < end && is_word_part(*p) && *p != '$' && !is_digit(p, end);
}
bool is_newline(char c) { return c == '\n' || c == '\r'; }

const char* find(const char* p, const char* end, char c) {
  return p >= end ? nullptr : static_cast<const char*>(std::memchr(p, c, static_cast<size_t>(end - p)));
}

const char* skip_digits(const char* p, const char* end) {
  while (is_digit(p, end)) ++p;
  return p;
}

// `p` is behind the opening quote.
const char* find_closing_quote(const char* p, const char* end) {
  while ((p = find(p, end, '\'')) != nullptr && is_at(p + 1, end, '\'')) p += 2;
  return p;
}

const char* find_closing_quote_with_escapes(const char* p, const char* end) {
  while (p < end) {
    if (*p == '\\') {
      p += 2;
    } else if (*p != '\'') {
      ++p;
    } else if (is_at(p + 1, end, '\'')) {
      p += 2;
    } else {
      return p;
    }
  }
  return nullptr;
}

[[gnu::always_inline]] inline const char* find_close(const char* p, const char* end, StringForm form) {
  switch (form) {
    case StringForm::kPlain:
      return find_closing_quote(p, end);
    case StringForm::kEscapes:
      return find_closing_quote_with_escapes(p, end);
    case StringForm::kBits:
      return find(p, end, '\'');
  }
  return nullptr;
}

// The quote that continues a string: only white space with at least one newline, and line comments, may stand
// between. Null: there is none.
const char* find_continuation(const char* p, const char* end) {
  bool has_newline = false;
  while (p < end) {
    if (is_newline(*p)) {
      has_newline = true;
      ++p;
    } else if (*p == ' ' || *p == '\t' || *p == '\f') {
      ++p;
    } else if (*p == '-' && is_at(p + 1, end, '-')) {
      p = find_line_end(p, end);
    } else {
      break;
    }
  }
  return has_newline && is_at(p, end, '\'') ? p : nullptr;
}

}  // namespace

const char* find_line_close(const char* at, const char* end, StringForm form) {
  return find_close(at + 1, end, form);
}

const char* find_string_end(const char* at, const char* end, StringForm form) {
  while (true) {
    const char* close = find_close(at + 1, end, form);
    if (close == nullptr) return nullptr;
    at = find_continuation(close + 1, end);
    if (at == nullptr) return close + 1;
  }
}

const char* find_dollar_string_end(const char* at, const char* end) {
  const char* p = at + 1;
  if (is_word_start(p, end)) {
    while (p < end && is_word_part(*p) && *p != '$') ++p;
  }
  if (!is_at(p, end, '$')) return nullptr;
  const std::string_view tag(at, static_cast<size_t>(p + 1 - at));
  const std::string_view rest(p + 1, static_cast<size_t>(end - p - 1));
  const size_t close = rest.find(tag);
  return close == std::string_view::npos ? nullptr : rest.data() + close + tag.size();
}

const char* find_parameter_end(const char* at, const char* end) {
  const char* p = skip_digits(at + 1, end);
  return p == at + 1 || is_word_start(p, end) ? nullptr : p;
}

const char* find_quoted_word_end(const char* at, const char* end) {
  const char* p = at + 1;
  while ((p = find(p, end, '"')) != nullptr && is_at(p + 1, end, '"')) p += 2;
  return p == nullptr || p == at + 1 ? nullptr : p + 1;  // "" is no identifier
}

const char* find_comment_end(const char* at, const char* end) {
  const char* p = at + 2;
  for (int depth = 1; depth > 0;) {
    if (end - p < 2) return nullptr;
    if (p[0] == '/' && p[1] == '*') {
      ++depth;
      p += 2;
    } else if (p[0] == '*' && p[1] == '/') {
      --depth;
      p += 2;
    } else {
      ++p;
    }
  }
  return p;
}

const char* find_line_end(const char* at, const char* end) {
  while (at < end && !is_newline(*at)) ++at;
  return at;
}

const char* find_operator_end(const char* at, const char* end) {
  const char* last = at + 1;
  while (last < end && kIsOperator[static_cast<unsigned char>(*last)]) {
    // A comment's start ends the operator.
    if ((*last == '-' && is_at(last + 1, end, '-')) || (*last == '/' && is_at(last + 1, end, '*'))) break;
    ++last;
  }
  if (last - at > 1 && (last[-1] == '+' || last[-1] == '-')) {
    // SQL wants `=-1` to be `=` and `-1`: + and - end an operator only if it holds a character that SQL's own
    // operators do not use.
    bool is_special = false;
    for (const char* p = at; p < last - 1; ++p) is_special |= kIsSpecial[static_cast<unsigned char>(*p)];
    if (!is_special) {
      while (last - at > 1 && (last[-1] == '+' || last[-1] == '-')) --last;
    }
  }
  return static_cast<size_t>(last - at) > kOperatorLengthMax ? nullptr : last;
}

Number read_number_end(const char* at, const char* end) {
  Number number;
  const char* p = skip_digits(at, end);
  if (is_at(p, end, '.') && !(p > at && is_at(p + 1, end, '.'))) {  // 1..2 is 1 .. 2
    number.is_integer = false;
    p = skip_digits(p + 1, end);
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    number.is_integer = false;
    const char* digits = p + 1;
    if (is_at(digits, end, '+') || is_at(digits, end, '-')) ++digits;
    p = skip_digits(digits, end);
    if (p == digits) return number;  // an exponent without digits
  }
  if (!is_word_start(p, end)) number.end = p;
  return number;
}

std::optional<Literal> read_prefixed_string(const char* at, const char* end, Reading reading) {
  const char letter = static_cast<char>(*at | 0x20);
  if (letter == 'u') {
    if (!is_at(at + 1, end, '&') || !is_at(at + 2, end, '\'')) return std::nullopt;
    // "unsafe use of string constant with Unicode escapes"
    if (!reading.standard_conforming_strings) return Literal{nullptr, TokenKind::kString};
    return Literal{find_string_end(at + 2, end, StringForm::kPlain), TokenKind::kString};
  }
  if (!is_at(at + 1, end, '\'')) return std::nullopt;
  if (letter == 'e') return Literal{find_string_end(at + 1, end, StringForm::kEscapes), TokenKind::kString};
  if (letter != 'b' && letter != 'x') return std::nullopt;
  return Literal{find_string_end(at + 1, end, StringForm::kBits), TokenKind::kBitString};
}

Literal read_literal(const char* at, const char* end, Reading reading) {
  if (is_digit(at, end) || (is_at(at, end, '.') && is_digit(at + 1, end))) {
    const Number number = read_number_end(at, end);
    return {number.end, number.is_integer ? TokenKind::kInteger : TokenKind::kNumber};
  }
  if (is_at(at, end, '\'')) return {find_string_end(at, end, form_of_plain(reading)), TokenKind::kString};
  if (is_at(at, end, '$')) {
    if (find_parameter_end(at, end) != nullptr) return {};
    return {find_dollar_string_end(at, end), TokenKind::kString};
  }
  return at < end ? read_prefixed_string(at, end, reading).value_or(Literal()) : Literal();
}

size_t find_literal_start(std::string_view text) {
  const auto is_start = [](char c) { return (c >= '0' && c <= '9') || c == '\'' || c == '$'; };
  size_t at = 0;
#if defined(__SSE2__)
  for (; at + 16 <= text.size(); at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i from_zero = _mm_sub_epi8(block, _mm_set1_epi8('0'));
    const __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(from_zero, _mm_set1_epi8(9)), from_zero);
    const __m128i others =
        _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('\'')), _mm_cmpeq_epi8(block, _mm_set1_epi8('$')));
    const int mask = _mm_movemask_epi8(_mm_or_si128(digits, others));
    if (mask != 0) return at + static_cast<size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  while (at < text.size() && !is_start(text[at])) ++at;
  return at;
}

}  // namespace mosaic::routing
