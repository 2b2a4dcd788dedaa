#include "routing/sql/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace mosaic::routing {

namespace {

enum CharacterClass : uint8_t {
  kSpace = 1,
  kWordStart = 2,
  kDigit = 4,
  kOperatorCharacter = 8,
  kSelf = 16,  // a token of its own unless it starts a longer one
  kDollar = 32,
  kSpecialOperatorCharacter = 64,  // one of these lets an operator end in + or -
  kQuote = 128,
};

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  const auto mark = [&](std::string_view characters, uint8_t bits) {
    for (const char c : characters) classes[static_cast<unsigned char>(c)] |= bits;
  };
  mark(" \t\n\r\f", kSpace);
  for (int c = 'a'; c <= 'z'; ++c) classes[c] |= kWordStart;
  for (int c = 'A'; c <= 'Z'; ++c) classes[c] |= kWordStart;
  for (int c = 0x80; c <= 0xff; ++c) classes[c] |= kWordStart;
  mark("_", kWordStart);
  mark("0123456789", kDigit);
  mark("~!@#^&|`?+-*/%<>=", kOperatorCharacter);
  mark("~!@#^&|`?%", kSpecialOperatorCharacter);
  mark(",()[].;:", kSelf);
  mark("$", kDollar);
  mark("'\"", kQuote);
  return classes;
}

constexpr std::array<uint8_t, 256> kClasses = make_classes();
constexpr uint8_t kWordPart = kWordStart | kDigit | kDollar;
constexpr size_t kOperatorLengthMax = 63;  // NAMEDATALEN - 1

inline uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

// The state of one pass: a cursor in the text and one in the shape.
class Tokenizer::Pass {
 public:
  Pass(Tokenizer& owner, std::string_view text)
      : owner_(owner),
        begin_(text.data()),
        end_(begin_ + text.size()),
        at_(begin_),
        out_(owner.shape_.get()) {}

  bool run() {
    while (at_ < end_) {
      const uint8_t kind = class_of(*at_);
      bool is_fine = true;
      if (kind & kSpace) {
        skip_spaces();
      } else if (kind & kWordStart) {
        is_fine = read_word();
      } else if (kind & kSelf) {
        is_fine = read_self();
      } else if (kind & kOperatorCharacter) {
        is_fine = read_operator_or_comment();
      } else if (kind & kDigit) {
        is_fine = read_number();
      } else if (kind & kQuote) {
        is_fine = *at_ == '\'' ? read_string(at_, TokenKind::kString, false) : read_quoted_word(at_);
      } else if (kind & kDollar) {
        is_fine = read_dollar();
      } else {
        is_fine = false;
      }
      if (!is_fine) return finish(false);
    }
    return finish(true);
  }

 private:
  bool finish(bool is_fine) {
    owner_.shape_size_ = static_cast<size_t>(out_ - owner_.shape_.get());
    return is_fine;
  }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  bool is_at(const char* p, char c) const { return p < end_ && *p == c; }

  void skip_spaces() {
    do ++at_;
    while (at_ < end_ && (class_of(*at_) & kSpace));
    has_gap_ = true;
  }

  // Every token goes through here before its bytes are copied: one place decides where the shape has a space.
  void add_token(const char* first, const char* last, TokenKind kind) {
    if (has_gap_) {
      if (owner_.token_count_ > 0) *out_++ = ' ';
      has_gap_ = false;
    }
    if (owner_.token_count_ == owner_.token_capacity_) owner_.grow_tokens();
    owner_.tokens_[owner_.token_count_++] = {static_cast<uint32_t>(first - begin_),
                                             static_cast<uint32_t>(last - begin_), kind};
  }
  bool add_verbatim(const char* first, const char* last, TokenKind kind) {
    add_token(first, last, kind);
    std::memcpy(out_, first, static_cast<size_t>(last - first));
    out_ += last - first;
    at_ = last;
    return true;
  }
  bool add_literal(const char* first, const char* last, TokenKind kind, ShapeMarker marker) {
    add_token(first, last, kind);
    *out_++ = marker;
    at_ = last;
    return true;
  }

  bool read_word() {
    const char* first = at_;
    if (left() > 1) {
      const char next = first[1];
      const char letter = lower(*first);
      if (next == '\'') {
        if (letter == 'e') return read_string(first + 1, TokenKind::kString, true);
        if (letter == 'b' || letter == 'x') return read_string(first + 1, TokenKind::kBitString, false);
      } else if (next == '&' && letter == 'u' && left() > 2) {
        if (first[2] == '\'') return read_string(first + 2, TokenKind::kString, false);
        if (first[2] == '"') return read_quoted_word(first + 2);
      }
    }
    // The copy is part of the search for the end: most words are shorter than a memcpy call is worth.
    if (has_gap_) {
      if (owner_.token_count_ > 0) *out_++ = ' ';
      has_gap_ = false;
    }
    const char* p = first;
    char* out = out_;
    do *out++ = *p++;
    while (p < end_ && (class_of(*p) & kWordPart));
    out_ = out;
    at_ = p;
    add_token(first, p, TokenKind::kWord);
    return true;
  }

  bool read_self() {
    const char* first = at_;
    const char c = *first;
    if (c == '.') {
      if (is_at(first + 1, '.')) return add_verbatim(first, first + 2, TokenKind::kPunctuation);
      if (first + 1 < end_ && (class_of(first[1]) & kDigit)) return read_number();
    } else if (c == ':' && (is_at(first + 1, ':') || is_at(first + 1, '='))) {
      return add_verbatim(first, first + 2, TokenKind::kPunctuation);
    }
    add_token(first, first + 1, TokenKind::kPunctuation);
    *out_++ = c;
    at_ = first + 1;
    return true;
  }

  bool read_operator_or_comment() {
    const char* first = at_;
    if (*first == '-' && is_at(first + 1, '-')) return skip_line_comment();
    if (*first == '/' && is_at(first + 1, '*')) return skip_block_comment();
    const char* last = first + 1;
    while (last < end_ && (class_of(*last) & kOperatorCharacter)) {
      // A comment's start ends the operator.
      if ((*last == '-' && is_at(last + 1, '-')) || (*last == '/' && is_at(last + 1, '*'))) break;
      ++last;
    }
    if (last - first > 1 && (last[-1] == '+' || last[-1] == '-')) {
      // SQL wants `=-1` to be `=` and `-1`: + and - end an operator only if it holds a character that SQL's
      // own operators do not use.
      bool is_special = false;
      for (const char* p = first; p < last - 1; ++p)
        is_special |= (class_of(*p) & kSpecialOperatorCharacter) != 0;
      if (!is_special) {
        while (last - first > 1 && (last[-1] == '+' || last[-1] == '-')) --last;
      }
    }
    if (static_cast<size_t>(last - first) > kOperatorLengthMax) return false;
    return add_verbatim(first, last, TokenKind::kOperator);
  }

  bool skip_line_comment() {
    while (at_ < end_ && *at_ != '\n' && *at_ != '\r') ++at_;
    has_gap_ = true;
    return true;
  }

  bool skip_block_comment() {
    const char* inside = at_ + 2;
    const char* p = inside;
    for (int depth = 1; depth > 0;) {
      if (end_ - p < 2) return false;
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
    if (owner_.token_count_ == 0 && owner_.hint_.kind == Hint::Kind::kNone) {
      owner_.hint_ = parse_comment_hint({inside, static_cast<size_t>(p - 2 - inside)});
    }
    at_ = p;
    has_gap_ = true;
    return true;
  }

  const char* skip_digits(const char* p) const {
    while (p < end_ && (class_of(*p) & kDigit)) ++p;
    return p;
  }

  bool read_number() {
    const char* first = at_;
    const char* p = skip_digits(first);
    bool is_integer = true;
    if (is_at(p, '.') && !(p > first && is_at(p + 1, '.'))) {  // 1..2 is 1 .. 2
      is_integer = false;
      p = skip_digits(p + 1);
    }
    if (p < end_ && lower(*p) == 'e') {
      is_integer = false;
      const char* digits = p + 1;
      if (digits < end_ && (*digits == '+' || *digits == '-')) ++digits;
      p = skip_digits(digits);
      if (p == digits) return false;
    }
    if (p < end_ && (class_of(*p) & kWordStart)) return false;  // trailing junk after numeric literal
    return add_literal(first, p, is_integer ? TokenKind::kInteger : TokenKind::kNumber,
                       is_integer ? kIntegerMarker : kNumberMarker);
  }

  bool read_quoted_word(const char* quote) {
    const char* p = quote + 1;
    for (;; ++p) {
      p = static_cast<const char*>(std::memchr(p, '"', static_cast<size_t>(end_ - p)));
      if (p == nullptr) return false;
      if (!is_at(p + 1, '"')) break;
      ++p;
    }
    if (p == quote + 1) return false;  // zero-length delimited identifier
    return add_verbatim(at_, p + 1, TokenKind::kQuotedWord);
  }

  // `quote` is the opening quote; the token starts at the cursor.
  bool read_string(const char* quote, TokenKind kind, bool has_escapes) {
    const char* p = quote;
    do {
      p = find_closing_quote(p + 1, has_escapes);
      if (p == nullptr) return false;
      quote = p + 1;
      p = find_continuation(quote);
    } while (p != nullptr);
    return add_literal(at_, quote, kind, kind == TokenKind::kString ? kStringMarker : kBitStringMarker);
  }

  const char* find_closing_quote(const char* p, bool has_escapes) const {
    if (!has_escapes) {
      while (p < end_) {
        p = static_cast<const char*>(std::memchr(p, '\'', static_cast<size_t>(end_ - p)));
        if (p == nullptr || !is_at(p + 1, '\'')) return p;
        p += 2;
      }
      return nullptr;
    }
    while (p < end_) {
      if (*p == '\\') {
        p += 2;
      } else if (*p != '\'') {
        ++p;
      } else if (is_at(p + 1, '\'')) {
        p += 2;
      } else {
        return p;
      }
    }
    return nullptr;
  }

  // The quote that continues a string: only white space with at least one newline, and line comments, may
  // stand between. Null: there is none.
  const char* find_continuation(const char* p) const {
    bool has_newline = false;
    while (p < end_) {
      if (*p == '\n' || *p == '\r') {
        has_newline = true;
        ++p;
      } else if (class_of(*p) & kSpace) {
        ++p;
      } else if (*p == '-' && is_at(p + 1, '-')) {
        while (p < end_ && *p != '\n' && *p != '\r') ++p;
      } else {
        break;
      }
    }
    return has_newline && is_at(p, '\'') ? p : nullptr;
  }

  bool read_dollar() {
    const char* first = at_;
    const char* p = first + 1;
    if (p < end_ && (class_of(*p) & kDigit)) {
      p = skip_digits(p);
      if (p < end_ && (class_of(*p) & kWordStart)) return false;  // trailing junk after parameter
      return add_verbatim(first, p, TokenKind::kParameter);
    }
    while (p < end_ && (class_of(*p) & (kWordStart | kDigit))) ++p;
    if (!is_at(p, '$')) return false;
    const std::string_view tag(first, static_cast<size_t>(p + 1 - first));
    const std::string_view rest(p + 1, static_cast<size_t>(end_ - p - 1));
    const size_t close = rest.find(tag);
    if (close == std::string_view::npos) return false;
    return add_literal(first, rest.data() + close + tag.size(), TokenKind::kString, kStringMarker);
  }

  Tokenizer& owner_;
  const char* begin_;
  const char* end_;
  const char* at_;
  char* out_;
  bool has_gap_ = false;
};

bool Tokenizer::read(std::string_view text) {
  token_count_ = 0;
  hint_ = {};
  // A shape is never longer than its text: white space and literals only shrink. One more for a pending
  // space.
  if (shape_capacity_ < text.size() + 1) {
    shape_capacity_ = std::max<size_t>(text.size() + 1, 2 * shape_capacity_);
    shape_ = std::make_unique_for_overwrite<char[]>(shape_capacity_);
  }
  return Pass(*this, text).run();
}

void Tokenizer::grow_tokens() {
  const size_t wanted = token_capacity_ == 0 ? 256 : 2 * token_capacity_;
  auto grown = std::make_unique_for_overwrite<Token[]>(wanted);
  if (token_count_ > 0) std::memcpy(grown.get(), tokens_.get(), token_count_ * sizeof(Token));
  tokens_ = std::move(grown);
  token_capacity_ = wanted;
}

void Tokenizer::shrink_to(size_t bytes) {
  if (shape_capacity_ + token_capacity_ * sizeof(Token) <= bytes) return;
  tokens_.reset();
  shape_.reset();
  token_count_ = token_capacity_ = shape_size_ = shape_capacity_ = 0;
}

}  // namespace mosaic::routing
