#include "routing/postgres/sql/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "routing/postgres/sql/lexeme.h"
#include "routing/postgres/sql/word_copy.h"

namespace mosaic::routing {

namespace {

// What a token that starts with this character can be.
enum class Start : uint8_t {
  kInvalid,
  kSpace,
  kWord,
  kPrefixWord,  // a word, or the prefix of a string: b x e u
  kDigit,
  kSingle,  // always a token of its own
  kDot,
  kColon,
  kOperator,
  kQuote,
  kDoubleQuote,
  kDollar,
};

constexpr std::array<Start, 256> make_starts() {
  std::array<Start, 256> starts{};
  const auto mark = [&](std::string_view characters, Start start) {
    for (const char c : characters) starts[static_cast<unsigned char>(c)] = start;
  };
  for (int c = 'a'; c <= 'z'; ++c) starts[c] = Start::kWord;
  for (int c = 'A'; c <= 'Z'; ++c) starts[c] = Start::kWord;
  for (int c = 0x80; c <= 0xff; ++c) starts[c] = Start::kWord;
  mark("_", Start::kWord);
  mark("bBxXeEuU", Start::kPrefixWord);
  mark(" \t\n\r\f", Start::kSpace);
  mark("0123456789", Start::kDigit);
  mark(",()[];", Start::kSingle);
  mark(".", Start::kDot);
  mark(":", Start::kColon);
  mark("~!@#^&|`?+-*/%<>=", Start::kOperator);
  mark("'", Start::kQuote);
  mark("\"", Start::kDoubleQuote);
  mark("$", Start::kDollar);
  return starts;
}

constexpr std::array<Start, 256> kStarts = make_starts();

// Words are copied in whole blocks: the shape has room for one behind its end.
constexpr size_t kShapeSlack = kWordBlockBytes;

inline Start start_of(char c) { return kStarts[static_cast<unsigned char>(c)]; }

}  // namespace

// One pass over one text. Its functions are all inlined and nothing takes the object's address, so that the
// cursors stay in registers: that halves the time.
class Tokenizer::Pass {
 public:
  Pass(Tokenizer& owner, std::string_view text, Reading reading)
      : owner_(owner),
        reading_(reading),
        begin_(text.data()),
        end_(begin_ + text.size()),
        token_(owner.tokens_.get()),
        tokens_end_(token_ + owner.token_capacity_),
        out_(owner.shape_.get() + 1) {}

  [[gnu::always_inline]] bool run() {
    const char* at = begin_;
    while (at != nullptr && at < end_ && !owner_.has_too_many_tokens_) {
      // Only a text of many tokens is longer: whether they are too many is not asked at each.
      at = read_until(at, end_ - at > kStretchBytes ? at + kStretchBytes : end_);
    }
    owner_.token_count_ = static_cast<size_t>(token_ - owner_.tokens_.get());
    // The byte before the shape is a space too, so that leading white space leaves no trace.
    if (out_[-1] == ' ' && owner_.token_count_ > 0) --out_;
    owner_.shape_size_ = static_cast<size_t>(out_ - owner_.shape_.get()) - 1;
    return at != nullptr;
  }

 private:
  static constexpr ptrdiff_t kStretchBytes = 1 << 20;

  // Up to the first token that begins at `stop` or later.
  [[gnu::always_inline]] const char* read_until(const char* at, const char* stop) {
    while (at < stop) {
      at = read_one(at);
      if (at == nullptr) break;
      // One space behind a token is by far the most common; it is worth no dispatch of its own.
      if (at < end_ && *at == ' ') {
        add_gap();
        ++at;
      }
    }
    return at;
  }

  // Each reads what starts at `at` and returns where the next begins; null: no token of SQL.
  [[gnu::always_inline]] const char* read_one(const char* at) {
    switch (start_of(*at)) {
      case Start::kSpace:
        add_gap();
        do ++at;
        while (at < end_ && start_of(*at) == Start::kSpace);
        return at;
      case Start::kWord:
        return read_word(at);
      case Start::kPrefixWord:
        return read_prefix_word(at);
      case Start::kDigit:
        return read_number(at);
      case Start::kSingle:
        add_token(at, at + 1, TokenKind::kPunctuation);
        *out_++ = *at;
        return at + 1;
      case Start::kDot:
        if (is_at(at + 1, '.')) return add_verbatim(at, at + 2, TokenKind::kPunctuation);
        if (at + 1 < end_ && start_of(at[1]) == Start::kDigit) return read_number(at);
        return add_verbatim(at, at + 1, TokenKind::kPunctuation);
      case Start::kColon:
        return add_verbatim(at, at + (is_at(at + 1, ':') || is_at(at + 1, '=') ? 2 : 1),
                            TokenKind::kPunctuation);
      case Start::kOperator:
        return read_operator_or_comment(at);
      case Start::kQuote:
        return read_plain_string(at);
      case Start::kDoubleQuote:
        return read_quoted_word(at, at);
      case Start::kDollar:
        return read_dollar(at);
      case Start::kInvalid:
        return nullptr;
    }
    return nullptr;
  }

  [[gnu::always_inline]] bool is_at(const char* p, char c) const { return p < end_ && *p == c; }

  [[gnu::always_inline]] void add_gap() {
    *out_ = ' ';
    out_ += out_[-1] != ' ';
  }
  [[gnu::always_inline]] void add_token(const char* first, const char* last, TokenKind kind) {
    if (token_ == tokens_end_) grow();
    *token_++ = {static_cast<uint32_t>(first - begin_), static_cast<uint32_t>(last - begin_), kind};
  }
  [[gnu::always_inline]] const char* add_verbatim(const char* first, const char* last, TokenKind kind) {
    add_token(first, last, kind);
    for (const char* p = first; p < last; ++p) *out_++ = *p;
    return last;
  }
  [[gnu::always_inline]] const char* add_literal(const char* first, const char* last, TokenKind kind,
                                                 ShapeMarker marker) {
    if (last == nullptr) return nullptr;
    add_token(first, last, kind);
    *out_++ = marker;
    return last;
  }

  [[gnu::always_inline]] const char* read_plain_string(const char* first) {
    if (reading_.standard_conforming_strings) {
      const char* last = find_string_end(first, end_, StringForm::kPlain);
      return add_literal(first, last, TokenKind::kString, kStringMarker);
    }
    const char* last = find_string_end(first, end_, StringForm::kEscapes);
    return add_literal(first, last, TokenKind::kString, kOldStringMarker);
  }

  [[gnu::always_inline]] const char* read_word(const char* first) {
    const char* last = copy_word(first, end_, out_);
    out_ += last - first;
    add_token(first, last, TokenKind::kWord);
    return last;
  }

  [[gnu::always_inline]] const char* read_prefix_word(const char* first) {
    if (is_at(first + 1, '\'') || is_at(first + 1, '&')) {
      if (const std::optional<Literal> literal = read_prefixed_string(first, end_, reading_)) {
        return add_literal(first, literal->end, literal->kind,
                           literal->kind == TokenKind::kString ? kStringMarker : kBitStringMarker);
      }
      const bool is_unicode = (*first | 0x20) == 'u' && first[1] == '&';
      if (is_unicode && is_at(first + 2, '"')) return read_quoted_word(first, first + 2);
    }
    return read_word(first);
  }

  [[gnu::always_inline]] const char* read_number(const char* first) {
    const Number number = read_number_end(first, end_);
    return add_literal(first, number.end, number.is_integer ? TokenKind::kInteger : TokenKind::kNumber,
                       number.is_integer ? kIntegerMarker : kNumberMarker);
  }

  [[gnu::always_inline]] const char* read_quoted_word(const char* first, const char* quote) {
    const char* last = find_quoted_word_end(quote, end_);
    if (last == nullptr) return nullptr;
    add_token(first, last, TokenKind::kQuotedWord);
    std::memcpy(out_, first, static_cast<size_t>(last - first));
    out_ += last - first;
    return last;
  }

  [[gnu::always_inline]] const char* read_operator_or_comment(const char* first) {
    if (*first == '-' && is_at(first + 1, '-')) {
      add_gap();
      return find_line_end(first, end_);
    }
    if (*first == '/' && is_at(first + 1, '*')) return read_comment(first);
    const char* last = find_operator_end(first, end_);
    return last == nullptr ? nullptr : add_verbatim(first, last, TokenKind::kOperator);
  }

  [[gnu::always_inline]] const char* read_comment(const char* first) {
    const char* last = find_comment_end(first, end_);
    if (last == nullptr) return nullptr;
    if (token_ == owner_.tokens_.get() && owner_.hint_.kind == Hint::Kind::kNone) {
      owner_.hint_ = parse_comment_hint({first + 2, static_cast<size_t>(last - first - 4)});
    }
    add_gap();
    return last;
  }

  [[gnu::always_inline]] const char* read_dollar(const char* first) {
    const char* parameter_end = find_parameter_end(first, end_);
    if (parameter_end != nullptr) return add_verbatim(first, parameter_end, TokenKind::kParameter);
    return add_literal(first, find_dollar_string_end(first, end_), TokenKind::kString, kStringMarker);
  }

  [[gnu::always_inline]] void grow() {
    if (!owner_.grow_tokens(static_cast<size_t>(token_ - owner_.tokens_.get()))) {
      --token_;  // this one goes over the last; run() stops soon
      return;
    }
    token_ = owner_.tokens_.get() + owner_.token_count_;
    tokens_end_ = owner_.tokens_.get() + owner_.token_capacity_;
  }

  Tokenizer& owner_;
  const Reading reading_;
  const char* const begin_;
  const char* const end_;
  Token* token_;
  Token* tokens_end_;
  char* out_;
};

bool Tokenizer::read(std::string_view text, Reading reading) {
  token_count_ = 0;
  has_too_many_tokens_ = false;
  hint_ = {};
  // A shape is never longer than its text: white space and literals only shrink.
  const size_t wanted = 1 + text.size() + 1 + kShapeSlack;
  if (shape_capacity_ < wanted) {
    shape_capacity_ = std::max<size_t>(wanted, 2 * shape_capacity_);
    shape_ = std::make_unique_for_overwrite<char[]>(shape_capacity_);
    shape_[0] = ' ';
  }
  return Pass(*this, text, reading).run() && !has_too_many_tokens_;
}

bool Tokenizer::grow_tokens(size_t count) {
  token_count_ = count;
  if (token_count_ == kTokensMax) {
    has_too_many_tokens_ = true;
    return false;
  }
  const size_t wanted = token_capacity_ == 0 ? 256 : std::min(2 * token_capacity_, kTokensMax);
  auto grown = std::make_unique_for_overwrite<Token[]>(wanted);
  if (token_count_ > 0) std::memcpy(grown.get(), tokens_.get(), token_count_ * sizeof(Token));
  tokens_ = std::move(grown);
  token_capacity_ = wanted;
  return true;
}

void Tokenizer::shrink_to(size_t bytes) {
  if (shape_capacity_ + token_capacity_ * sizeof(Token) <= bytes) return;
  tokens_.reset();
  shape_.reset();
  token_count_ = token_capacity_ = shape_size_ = shape_capacity_ = 0;
}

}  // namespace mosaic::routing
