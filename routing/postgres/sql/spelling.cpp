#include "routing/postgres/sql/spelling.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "routing/postgres/sql/lexeme.h"

namespace mosaic::routing {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What ends the token before a literal is where the literal begins; it must not make another token of it
// ("date'x'" is two tokens, "datee'x'" is two others).
bool begins_alike(char a, char b) { return a == b || (is_digit(a) && is_digit(b)); }

Hint moved(const Hint& hint, const std::string& from, std::string_view to) {
  if (hint.kind == Hint::Kind::kNone) return {};
  return {hint.kind, to.substr(static_cast<size_t>(hint.value.data() - from.data()), hint.value.size())};
}

}  // namespace

uint64_t Spelling::hash_of_beginning(std::string_view text) {
  return XXH3_64bits(text.data(), find_literal_start(text));
}

void Spelling::assign(std::string_view text, Reading reading, std::span<const Token> tokens,
                      const Hint& hint) {
  reading_ = reading;
  text_.assign(text);
  tokens_.assign(tokens.begin(), tokens.end());
  hint_ = {};
  if (hint.kind != Hint::Kind::kNone) {
    const auto offset = static_cast<size_t>(hint.value.data() - text.data());
    hint_ = {hint.kind, std::string_view(text_).substr(offset, hint.value.size())};
  }
}

// Tokens have no memory of what stands before them: where both texts have read the same tokens so far, equal
// bytes are equal tokens again, up to the next literal.
bool Spelling::matches(std::string_view text, Reading reading, std::vector<Token>& tokens, Hint& hint) const {
  if (reading != reading_) return false;
  tokens.resize(tokens_.size());
  Token* out = tokens.data();
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* at = begin;  // what is before it is alike
  size_t compared = 0;     // the same place in text_
  uint32_t moved_by = 0;   // from text_ to `text`, modulo 2^32
  for (const Token& token : tokens_) {
    if (!is_literal(token.kind)) {
      *out++ = {token.begin + moved_by, token.end + moved_by, token.kind};
      continue;
    }
    const size_t between = token.begin - compared;
    if (static_cast<size_t>(end - at) <= between || std::memcmp(at, text_.data() + compared, between) != 0)
      return false;
    at += between;
    if (!begins_alike(*at, text_[token.begin])) return false;
    const Literal literal = read_literal(at, end, reading);
    if (literal.end == nullptr || literal.kind != token.kind) return false;
    *out++ = {static_cast<uint32_t>(at - begin), static_cast<uint32_t>(literal.end - begin), token.kind};
    at = literal.end;
    compared = token.end;
    moved_by = static_cast<uint32_t>(at - begin) - token.end;
  }
  const size_t rest = text_.size() - compared;
  if (static_cast<size_t>(end - at) != rest || std::memcmp(at, text_.data() + compared, rest) != 0)
    return false;
  hint = moved(hint_, text_, text);
  return true;
}

}  // namespace mosaic::routing
