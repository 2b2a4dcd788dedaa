#include "routing/postgres/sql/string_literal.h"

#include <cstdint>

namespace mosaic::routing {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Exactly `count` hexadecimal digits at `at`.
std::optional<uint32_t> read_hex(std::string_view body, size_t at, size_t count) {
  if (at + count > body.size()) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const int digit = hex_digit(body[at + i]);
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return value;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// \uXXXX or \UXXXXXXXX at the backslash, a surrogate pair as two of them. Returns the length read, 0 when
// invalid.
size_t read_unicode_escape(std::string_view body, size_t at, std::string& out) {
  const size_t digits = body[at + 1] == 'u' ? 4 : 8;
  const auto first = read_hex(body, at + 2, digits);
  if (!first || *first == 0 || *first > 0x10ffff || (*first >= 0xdc00 && *first <= 0xdfff)) return 0;
  if (*first < 0xd800 || *first > 0xdbff) {
    append_utf8(out, *first);
    return 2 + digits;
  }
  const size_t next = at + 2 + digits;
  if (next + 1 >= body.size() || body[next] != '\\' || (body[next + 1] != 'u' && body[next + 1] != 'U'))
    return 0;
  const size_t next_digits = body[next + 1] == 'u' ? 4 : 8;
  const auto second = read_hex(body, next + 2, next_digits);
  if (!second || *second < 0xdc00 || *second > 0xdfff) return 0;
  append_utf8(out, 0x10000 + ((*first & 0x3ff) << 10) + (*second & 0x3ff));
  return 2 + digits + 2 + next_digits;
}

// One escape at the backslash (PostgreSQL manual, String Constants with C-Style Escapes). 0: invalid.
size_t read_escape(std::string_view body, size_t at, std::string& out) {
  if (at + 1 >= body.size()) return 0;
  const char c = body[at + 1];
  switch (c) {
    case 'b':
      out += '\b';
      return 2;
    case 'f':
      out += '\f';
      return 2;
    case 'n':
      out += '\n';
      return 2;
    case 'r':
      out += '\r';
      return 2;
    case 't':
      out += '\t';
      return 2;
    case 'u':
    case 'U':
      return read_unicode_escape(body, at, out);
    default:
      break;
  }
  if (c == 'x' && at + 2 < body.size() && hex_digit(body[at + 2]) >= 0) {
    int value = hex_digit(body[at + 2]);
    size_t length = 3;
    if (at + 3 < body.size() && hex_digit(body[at + 3]) >= 0) {
      value = value * 16 + hex_digit(body[at + 3]);
      length = 4;
    }
    out += static_cast<char>(value);
    return length;
  }
  if (c >= '0' && c <= '7') {
    int value = 0;
    size_t length = 1;
    while (length < 4 && at + length < body.size() && body[at + length] >= '0' && body[at + length] <= '7') {
      value = value * 8 + (body[at + length] - '0');
      ++length;
    }
    out += static_cast<char>(value & 0xff);
    return length;
  }
  out += c;
  return 2;
}

}  // namespace

std::optional<std::string_view> read_string_literal(std::string_view token, Reading reading,
                                                    std::string& scratch) {
  if (token.size() >= 2 && token.front() == '$') {
    const size_t tag = token.find('$', 1) + 1;
    return token.substr(tag, token.size() - 2 * tag);
  }
  const bool has_prefix = !token.empty() && (token.front() == 'E' || token.front() == 'e');
  const bool has_escapes = has_prefix || !reading.standard_conforming_strings;
  if (has_prefix) token.remove_prefix(1);
  if (token.size() < 2 || token.front() != '\'') return std::nullopt;
  std::string_view body = token.substr(1, token.size() - 2);
  if (body.find('\'') == std::string_view::npos &&
      !(has_escapes && body.find('\\') != std::string_view::npos)) {
    return body;
  }
  scratch.clear();
  for (size_t at = 0; at < body.size();) {
    if (has_escapes && body[at] == '\\') {
      const size_t length = read_escape(body, at, scratch);
      if (length == 0) return std::nullopt;
      at += length;
    } else if (body[at] != '\'') {
      scratch += body[at++];
    } else if (at + 1 < body.size() && body[at + 1] == '\'') {
      scratch += '\'';
      at += 2;
    } else {
      // The lexer accepted the token, so what ends here goes on behind white space and comments: the next
      // quote that stands outside of a comment.
      ++at;
      while (at < body.size() && body[at] != '\'') {
        if (body[at] == '-') {
          while (at < body.size() && body[at] != '\n' && body[at] != '\r') ++at;
        } else {
          ++at;
        }
      }
      ++at;
    }
  }
  return scratch;
}

}  // namespace mosaic::routing
