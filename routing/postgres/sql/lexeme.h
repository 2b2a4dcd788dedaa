#pragma once
// Where a token of SQL ends, by the rules of PostgreSQL 15's lexer (src/backend/parser/scan.l). Functions on
// a range of bytes without any state: `at` is the token's first byte, `end` the end of the text, the result
// is one behind the token's last byte, and null when the lexer would refuse it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

// The opening quote of '...', without its prefix. Continuation lines belong to the string; so do doubled
// quotes (except in bit strings, B'1' and X'f') and, in E'...', what a backslash escapes.
enum class StringForm : uint8_t { kPlain, kEscapes, kBits };
// The quote that ends the line of a string that begins at the opening quote `at`.
const char* find_line_close(const char* at, const char* end, StringForm form);
const char* find_string_end(const char* at, const char* end, StringForm form);
// The form of '...' without a prefix.
inline StringForm form_of_plain(Reading reading) {
  return reading.standard_conforming_strings ? StringForm::kPlain : StringForm::kEscapes;
}
// $tag$...$tag$; null also when no such string begins here.
const char* find_dollar_string_end(const char* at, const char* end);
// $1; null when what follows the dollar is no number, or a number with junk behind it.
const char* find_parameter_end(const char* at, const char* end);
// The opening quote of "...".
const char* find_quoted_word_end(const char* at, const char* end);
// A slash and a star; comments nest.
const char* find_comment_end(const char* at, const char* end);
// Two hyphens: up to the newline, which is not part of it.
const char* find_line_end(const char* at, const char* end);
// Any operator character that starts no comment.
const char* find_operator_end(const char* at, const char* end);

struct Number {
  const char* end = nullptr;
  bool is_integer = true;
};
Number read_number_end(const char* at, const char* end);

struct Literal {
  const char* end = nullptr;  // null: the lexer would refuse it
  TokenKind kind = TokenKind::kInteger;
};
// E'...', U&'...', B'...', X'...': strings that begin as a word would. Nothing: no such string begins here.
std::optional<Literal> read_prefixed_string(const char* at, const char* end, Reading reading);
// Any literal, a number without its sign; with a null end also when none begins here.
Literal read_literal(const char* at, const char* end, Reading reading);
// No literal begins before this offset: that of the first digit, quote or dollar, or the text's size.
size_t find_literal_start(std::string_view text);

}  // namespace mosaic::routing
