#include "routing/postgres/copy/field_text.h"

namespace mosaic::routing {

namespace {

int octal_digit(char c) { return c >= '0' && c <= '7' ? c - '0' : -1; }

int hexadecimal_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Reads up to `digits_max` digits at raw[at], leaves `at` behind them.
char read_number(std::string_view raw, size_t& at, int base, int digits_max, int (*digit_of)(char)) {
  int number = 0;
  for (int i = 0; i < digits_max && at < raw.size() && digit_of(raw[at]) >= 0; ++i, ++at) {
    number = number * base + digit_of(raw[at]);
  }
  return static_cast<char>(number & 0xff);
}

char control_of(char letter) {
  switch (letter) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return letter;
  }
}

}  // namespace

void append_unescaped(std::string& value, std::string_view raw) {
  for (size_t at = 0; at < raw.size();) {
    const size_t backslash = raw.find('\\', at);
    value += raw.substr(at, backslash - at);
    if (backslash == std::string_view::npos) return;
    at = backslash + 1;
    if (at == raw.size()) return;  // PostgreSQL drops a backslash that ends the data
    if (octal_digit(raw[at]) >= 0) {
      value += read_number(raw, at, 8, 3, octal_digit);
    } else if (raw[at] == 'x' && at + 1 < raw.size() && hexadecimal_digit(raw[at + 1]) >= 0) {
      value += read_number(raw, ++at, 16, 2, hexadecimal_digit);
    } else {
      value += control_of(raw[at++]);
    }
  }
}

void append_unquoted(std::string& value, std::string_view raw, char quote, char escape) {
  bool is_quoted = false;
  for (size_t at = 0; at < raw.size(); ++at) {
    const char c = raw[at];
    if (!is_quoted) {
      if (c == quote) {
        is_quoted = true;
      } else {
        value += c;
      }
      continue;
    }
    // The escape is looked at first: with the usual "" it is the quote itself.
    if (c == escape && at + 1 < raw.size() && (raw[at + 1] == escape || raw[at + 1] == quote)) {
      value += raw[++at];
    } else if (c == quote) {
      is_quoted = false;
    } else {
      value += c;
    }
  }
}

}  // namespace mosaic::routing
