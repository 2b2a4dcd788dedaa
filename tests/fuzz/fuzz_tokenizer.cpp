// Mosaic's tokenizer against PostgreSQL's own lexer: any text that pg_query_scan accepts must be cut at the
// same places, texts of one shape must have the same tokens, and a text that is spelled like another must be
// cut as if it came alone. A difference could hide a table name or a key. Each text is read with
// standard_conforming_strings on and off, which libpg_query's lexer knows too.

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/spelling.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/postgres/sql/tokenizer.h"

// The setting as libpg_query's copy of scan.l has it; its API leaves it on.
extern "C" __thread bool standard_conforming_strings;

namespace {

using mosaic::routing::Hint;
using mosaic::routing::Reading;
using mosaic::routing::Spelling;

using mosaic::routing::Token;
using mosaic::routing::Tokenizer;
using mosaic::routing::TokenKind;

[[noreturn]] void fail(const char* what, const std::string& text, size_t token) {
  std::fprintf(stderr, "%s at token %zu of: %s\n", what, token, text.c_str());
  std::abort();
}

struct Scan {
  Scan(const std::string& text, Reading reading) {
    standard_conforming_strings = reading.standard_conforming_strings;
    result = pg_query_scan(text.c_str());
    standard_conforming_strings = true;
    if (result.error == nullptr) {
      tokens = pg_query__scan_result__unpack(nullptr, result.pbuf.len,
                                             reinterpret_cast<const uint8_t*>(result.pbuf.data));
    }
  }
  ~Scan() {
    if (tokens != nullptr) pg_query__scan_result__free_unpacked(tokens, nullptr);
    pg_query_free_scan_result(result);
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  PgQueryScanResult result;
  PgQuery__ScanResult* tokens = nullptr;
};

bool is_comment(const PgQuery__ScanToken& token) {
  return token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT;
}

// Characters that the lexer passes through one by one although no grammar rule takes them.
bool is_stray(const PgQuery__ScanToken& token, const std::string& text) {
  const std::string_view known = "%()*+,-./:;<>=?[]^";
  return token.end - token.start == 1 && token.token < PG_QUERY__TOKEN__IDENT &&
         known.find(text[static_cast<size_t>(token.start)]) == std::string_view::npos;
}

bool is_kind(const PgQuery__ScanToken& theirs, TokenKind ours) {
  switch (theirs.token) {
    case PG_QUERY__TOKEN__ICONST:
      return ours == TokenKind::kInteger;
    case PG_QUERY__TOKEN__FCONST:
      return ours == TokenKind::kNumber || ours == TokenKind::kInteger;  // digits beyond 32 bits
    case PG_QUERY__TOKEN__SCONST:
    case PG_QUERY__TOKEN__USCONST:
      return ours == TokenKind::kString;
    case PG_QUERY__TOKEN__BCONST:
    case PG_QUERY__TOKEN__XCONST:
      return ours == TokenKind::kBitString;
    case PG_QUERY__TOKEN__PARAM:
      return ours == TokenKind::kParameter;
    case PG_QUERY__TOKEN__IDENT:
      return ours == TokenKind::kWord || ours == TokenKind::kQuotedWord;
    case PG_QUERY__TOKEN__UIDENT:
      return ours == TokenKind::kQuotedWord;
    default:
      return ours == TokenKind::kWord || ours == TokenKind::kOperator || ours == TokenKind::kPunctuation;
  }
}

// 'a' -- comment
// 'b' is one string for the server, but not for libpg_query, which makes tokens of comments. It finds a
// syntax error there, so that the server gets the text as it is.
bool is_continued_behind_comment(const Token& ours, const PgQuery__ScanToken& theirs,
                                 const std::string& text) {
  const bool is_string = ours.kind == TokenKind::kString || ours.kind == TokenKind::kBitString;
  return is_string && ours.begin == static_cast<uint32_t>(theirs.start) &&
         ours.end > static_cast<uint32_t>(theirs.end) &&
         text.find("--", static_cast<size_t>(theirs.end)) < ours.end;
}

// The same, when what continues it never ends: E'a' -- c
// 'b\' has a quote that is escaped. We refuse it as the server does, libpg_query sees another string.
bool may_be_continued_behind_comment(const PgQuery__ScanToken& theirs, const std::string& text) {
  const bool is_string = theirs.token == PG_QUERY__TOKEN__SCONST ||
                         theirs.token == PG_QUERY__TOKEN__USCONST ||
                         theirs.token == PG_QUERY__TOKEN__BCONST || theirs.token == PG_QUERY__TOKEN__XCONST;
  return is_string && text.find("--", static_cast<size_t>(theirs.end)) != std::string::npos;
}

void compare(const std::string& text, Reading reading, Tokenizer& tokenizer, bool is_read) {
  const Scan scan(text, reading);
  if (scan.tokens == nullptr) return;  // what the lexer refuses, no server will run
  size_t next = 0;
  for (size_t i = 0; i < scan.tokens->n_tokens; ++i) {
    const PgQuery__ScanToken& theirs = *scan.tokens->tokens[i];
    if (is_comment(theirs)) continue;
    if (is_stray(theirs, text)) return;
    if (next == tokenizer.tokens().size() && !is_read && may_be_continued_behind_comment(theirs, text))
      return;
    if (next == tokenizer.tokens().size()) fail(is_read ? "missing token" : "refused", text, next);
    const Token& ours = tokenizer.tokens()[next];
    // From there on an escaped quote may make the two go apart for good.
    if (is_continued_behind_comment(ours, theirs, text)) return;
    // libpg_query gives no usable end for U&'...' and U&"...".
    const bool has_end = theirs.token != PG_QUERY__TOKEN__USCONST && theirs.token != PG_QUERY__TOKEN__UIDENT;
    if (ours.begin != static_cast<uint32_t>(theirs.start) ||
        (has_end && ours.end != static_cast<uint32_t>(theirs.end))) {
      fail("other bounds", text, next);
    }
    if (!is_kind(theirs, ours.kind)) fail("other kind", text, next);
    ++next;
  }
  if (!is_read) fail("refused", text, next);
  if (next != tokenizer.tokens().size()) fail("extra token", text, next);
}

// A shape with its markers written as literals again must have the same shape and the same number of tokens.
void check_shape(const std::string& text, Reading reading, Tokenizer& tokenizer) {
  const std::string shape(tokenizer.shape());
  const std::vector<Token> tokens(tokenizer.tokens().begin(), tokenizer.tokens().end());
  std::string rewritten;
  size_t quoted_until = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i >= quoted_until && shape[i] == '"') {
      // Inside of a quoted identifier a control character is just that.
      quoted_until = i + 1;
      while (quoted_until < shape.size() && shape[quoted_until] != '"') ++quoted_until;
      ++quoted_until;
    }
    if (i < quoted_until || !mosaic::routing::is_shape_marker(shape[i])) {
      rewritten += shape[i];
      continue;
    }
    constexpr const char* kLiterals[] = {"", " 7 ", " 7.5 ", " E'x' ", " B'1' ", " 'x' "};
    rewritten += kLiterals[static_cast<size_t>(shape[i])];
  }
  if (!tokenizer.read(rewritten, reading) || tokenizer.tokens().size() != tokens.size())
    fail("shape", text, 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& now = tokenizer.tokens()[i];
    if (now.kind != tokens[i].kind) fail("shape's kind", text, i);
    const bool is_literal = now.kind == TokenKind::kInteger || now.kind == TokenKind::kNumber ||
                            now.kind == TokenKind::kString || now.kind == TokenKind::kBitString;
    if (!is_literal && rewritten.substr(now.begin, now.end - now.begin) !=
                           text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin)) {
      fail("shape's text", text, i);
    }
  }
}

// The same text with other literals in place, each as long as it may be without a space around it.
std::string with_other_literals(const std::string& text, const std::vector<Token>& tokens) {
  std::string other;
  size_t copied = 0;
  for (const Token& token : tokens) {
    const char* literal = token.kind == TokenKind::kInteger     ? "80"
                          : token.kind == TokenKind::kNumber    ? "1.25"
                          : token.kind == TokenKind::kString    ? "'y'"
                          : token.kind == TokenKind::kBitString ? "b'01'"
                                                                : nullptr;
    if (literal == nullptr) continue;
    other += text.substr(copied, token.begin - copied) + literal;
    copied = token.end;
  }
  return other + text.substr(copied);
}

void check_spelling(const std::string& text, Reading reading, Tokenizer& tokenizer) {
  if (!tokenizer.read(text, reading)) fail("reads once only", text, 0);
  Spelling spelling;
  spelling.assign(text, reading, tokenizer.tokens(), tokenizer.hint());
  const std::vector<Token> tokens(tokenizer.tokens().begin(), tokenizer.tokens().end());
  std::vector<Token> found;
  Hint hint;
  if (!spelling.matches(text, reading, found, hint)) fail("is not spelled like itself", text, 0);
  const std::string other = with_other_literals(text, tokens);
  for (const std::string& candidate : {text, other}) {
    if (!spelling.matches(candidate, reading, found, hint)) continue;
    if (!tokenizer.read(candidate, reading)) fail("spelled like a text that is read", candidate, 0);
    if (tokenizer.tokens().size() != found.size()) fail("spelling's tokens", candidate, 0);
    for (size_t i = 0; i < found.size(); ++i) {
      const Token& theirs = tokenizer.tokens()[i];
      if (found[i].begin != theirs.begin || found[i].end != theirs.end || found[i].kind != theirs.kind)
        fail("spelling's token", candidate, i);
    }
    if (hint.kind != tokenizer.hint().kind || hint.value != tokenizer.hint().value)
      fail("spelling's hint", candidate, 0);
  }
}

// The same text in words that both readings understand alike: as many tokens, and strings of the same values.
void check_portable(const std::string& text, Reading reading, Tokenizer& tokenizer) {
  if (!tokenizer.read(text, reading)) fail("reads twice only", text, 0);
  const std::vector<Token> tokens(tokenizer.tokens().begin(), tokenizer.tokens().end());
  for (const Token& token : tokens) {
    // U&'...' can not be had under both.
    if (token.kind == TokenKind::kString && (text[token.begin] | 0x20) == 'u') return;
  }
  const auto portable = mosaic::routing::make_portable(text, tokens, reading);
  if (portable.tokens.size() != tokens.size()) fail("portable tokens", text, 0);
  for (const Reading other : {Reading{true}, Reading{false}}) {
    if (!tokenizer.read(portable.text, other)) fail("portable text refused", portable.text, 0);
    if (tokenizer.tokens().size() != tokens.size()) fail("portable text's tokens", portable.text, 0);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const Token& now = tokenizer.tokens()[i];
      if (now.begin != portable.tokens[i].begin || now.end != portable.tokens[i].end ||
          now.kind != tokens[i].kind)
        fail("portable text's token", portable.text, i);
      if (now.kind != TokenKind::kString) continue;
      std::string scratch, other_scratch;
      const std::string_view before =
          std::string_view(text).substr(tokens[i].begin, tokens[i].end - tokens[i].begin);
      const std::string_view after = std::string_view(portable.text).substr(now.begin, now.end - now.begin);
      if (mosaic::routing::read_string_literal(before, reading, scratch) !=
          mosaic::routing::read_string_literal(after, other, other_scratch))
        fail("portable text's value", portable.text, i);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find('\0') != std::string::npos) return 0;  // the protocol's strings end there
  static Tokenizer tokenizer;
  for (const Reading reading : {Reading{true}, Reading{false}}) {
    const bool is_read = tokenizer.read(text, reading);
    compare(text, reading, tokenizer, is_read);
    if (!is_read) continue;
    check_shape(text, reading, tokenizer);
    check_spelling(text, reading, tokenizer);
    check_portable(text, reading, tokenizer);
  }
  return 0;
}
