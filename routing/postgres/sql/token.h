#pragma once
// One lexical token of a statement: byte offsets into the text it came from.

#include <cstdint>

namespace mosaic::routing {

enum class TokenKind : uint8_t {
  kWord,        // keyword or unquoted identifier
  kQuotedWord,  // "identifier", U&"identifier"
  kInteger,     // digits only
  kNumber,      // any other numeric literal
  kString,      // '...', E'...', U&'...', N'...', $tag$...$tag$; continuation lines included
  kBitString,   // B'...', X'...'
  kParameter,   // $1
  kOperator,
  kPunctuation,  // ( ) [ ] , ; : . and friends
};

inline bool is_literal(TokenKind kind) {
  return kind == TokenKind::kInteger || kind == TokenKind::kNumber || kind == TokenKind::kString ||
         kind == TokenKind::kBitString;
}

struct Token {
  uint32_t begin = 0;  // byte offsets, half open
  uint32_t end = 0;
  TokenKind kind = TokenKind::kWord;
};

}  // namespace mosaic::routing
