#include "routing/postgres/sql/portable_text.h"

#include <algorithm>

#include "routing/postgres/client_encoding.h"
#include "routing/postgres/sql/lexeme.h"

namespace mosaic::routing {

namespace {

std::string_view text_of(std::string_view text, const Token& token) {
  return text.substr(token.begin, token.end - token.begin);
}

bool is_plain_string(std::string_view text, const Token& token) {
  return token.kind == TokenKind::kString && text[token.begin] == '\'';
}

bool has_backslash(std::string_view text) { return text.find('\\') != std::string_view::npos; }

bool is_unicode_string(std::string_view text, const Token& token) {
  return token.kind == TokenKind::kString && (text[token.begin] | 0x20) == 'u';
}

bool has_escapes(std::string_view text, const Token& token, Reading reading) {
  if (token.kind != TokenKind::kString) return false;
  const char first = text[token.begin];
  return first == 'E' || first == 'e' || (first == '\'' && !reading.standard_conforming_strings);
}

// Whole characters, without regard for overlong forms and surrogates: those are the server's to refuse.
bool is_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[at]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xc2 ? 0
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                          : lead < 0xf5 ? 4
                                        : 0;
    if (length == 0 || at + length > bytes.size()) return false;
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(bytes[at + i]) & 0xc0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

// N'...' is the word NCHAR and a string, as long as the quote stands right behind the N.
bool is_national_prefix(std::string_view text, const Token& token, const Token& string) {
  return token.kind == TokenKind::kWord && token.end == string.begin && token.end - token.begin == 1 &&
         (text[token.begin] | 0x20) == 'n';
}

StringForm form_of(std::string_view written, TokenKind kind, Reading reading) {
  if (kind == TokenKind::kBitString) return StringForm::kBits;
  if (written.front() == '\'') return form_of_plain(reading);
  return (written.front() | 0x20) == 'e' ? StringForm::kEscapes : StringForm::kPlain;
}

// Calls each(first, last) for every comment between the lines of a string: 'a' -- comment
// 'b'.
template <typename Each>
void for_each_inner_comment(std::string_view written, TokenKind kind, Reading reading, Each&& each) {
  const bool has_lines =
      kind == TokenKind::kBitString || (kind == TokenKind::kString && written.front() != '$');
  if (!has_lines || written.find("--") == std::string_view::npos) return;
  const StringForm form = form_of(written, kind, reading);
  const char* const end = written.data() + written.size();
  const char* at = written.data() + written.find('\'');
  while (true) {
    at = find_line_close(at, end, form) + 1;
    while (at < end && *at != '\'') {
      if (*at != '-') {
        ++at;
        continue;
      }
      const char* const first = at;
      at = find_line_end(at, end);
      each(static_cast<size_t>(first - written.data()), static_cast<size_t>(at - written.data()));
    }
    if (at >= end) return;
  }
}

// Within a plain string that is read without escapes, each backslash stands for itself: in comments between
// its lines one more does not matter.
void append_doubled(std::string& out, std::string_view string) {
  for (const char c : string) {
    if (c == '\\') out += c;
    out += c;
  }
}

}  // namespace

bool depends_on_reading(std::string_view text, std::span<const Token> tokens) {
  return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
    return (is_plain_string(text, token) && has_backslash(text_of(text, token))) ||
           is_unicode_string(text, token);
  });
}

PortableText make_portable(std::string_view text, std::span<const Token> tokens, Reading reading) {
  PortableText portable;
  portable.tokens.reserve(tokens.size());
  std::string& out = portable.text;
  size_t copied = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    const std::string_view written = text_of(text, token);
    out += text.substr(copied, token.begin - copied);
    copied = token.end;
    if (!is_plain_string(text, token) || !has_backslash(written)) {
      portable.tokens.push_back({static_cast<uint32_t>(out.size()),
                                 static_cast<uint32_t>(out.size() + written.size()), token.kind});
      out += written;
      continue;
    }
    if (i > 0 && is_national_prefix(text, tokens[i - 1], token)) {
      Token& prefix = portable.tokens.back();
      out.replace(prefix.begin, std::string::npos, "NCHAR");
      prefix.end = static_cast<uint32_t>(out.size());
    }
    out += ' ';  // or a word before it would take the E in
    const auto begin = static_cast<uint32_t>(out.size());
    out += 'E';
    if (reading.standard_conforming_strings) {
      append_doubled(out, written);
    } else {
      out += written;
    }
    portable.tokens.push_back({begin, static_cast<uint32_t>(out.size()), token.kind});
  }
  out += text.substr(copied);
  return portable;
}

std::string portable_text_of(std::string_view text, std::span<const Token> tokens, Reading reading) {
  const uint32_t begin = tokens.front().begin;
  const std::string_view piece = text.substr(begin, tokens.back().end - begin);
  if (piece.find('\\') == std::string_view::npos) return std::string(piece);
  const PortableText portable = make_portable(text.substr(0, tokens.back().end), tokens, reading);
  return portable.text.substr(portable.tokens.front().begin);
}

std::optional<PortableText> text_to_parse(std::string_view text, std::span<const Token> tokens,
                                          Reading reading) {
  std::optional<PortableText> result;
  if (!reading.standard_conforming_strings && depends_on_reading(text, tokens))
    result = make_portable(text, tokens, reading);
  const auto change = [&]() -> PortableText& {
    if (!result) result = PortableText{std::string(text), {tokens.begin(), tokens.end()}};
    return *result;
  };
  if (text.find("--") != std::string_view::npos) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view now = result ? std::string_view(result->text) : text;
      const Token token = result ? result->tokens[i] : tokens[i];
      const Reading now_read = result ? Reading() : reading;
      for_each_inner_comment(text_of(now, token), token.kind, now_read, [&](size_t first, size_t last) {
        std::fill_n(change().text.begin() + static_cast<ptrdiff_t>(token.begin + first), last - first, ' ');
      });
    }
  }
  if (is_ascii(text)) return result;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!has_escapes(text, tokens[i], reading) || is_utf8(text_of(text, tokens[i]))) continue;
    PortableText& changed = change();
    const Token& token = changed.tokens[i];
    std::replace_if(
        changed.text.begin() + token.begin, changed.text.begin() + token.end,
        [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; }, '?');
  }
  return result;
}

}  // namespace mosaic::routing
