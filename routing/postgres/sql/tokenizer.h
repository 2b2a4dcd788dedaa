#pragma once
// One pass over a statement's text, about a nanosecond per byte: its tokens, its shape and its leading
// comment hint. Cuts where PostgreSQL 15's lexer cuts (src/backend/parser/scan.l); knows
// no grammar. Called for every statement, so it allocates nothing once its buffers have grown.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "routing/postgres/route.h"
#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

// What stands for a literal in a shape's text. No such byte occurs outside quotes in a text that the lexer
// accepts.
enum ShapeMarker : char {
  kIntegerMarker = 1,
  kNumberMarker = 2,
  kStringMarker = 3,
  kBitStringMarker = 4,
  kOldStringMarker = 5,  // '...' with standard_conforming_strings off
};
inline bool is_shape_marker(char c) { return c >= kIntegerMarker && c <= kOldStringMarker; }

// A statement of this many tokens takes seconds to parse; COPY is the way for so many values.
inline constexpr size_t kTokensMax = 1'000'000;

class Tokenizer {
 public:
  // Reads `text`. False when the lexer would refuse it (unterminated quotes or comments, stray characters):
  // then tokens() holds what came before. False also when it has more than kTokensMax tokens: then
  // has_too_many_tokens(), and nothing that read() leaves is of use.
  bool read(std::string_view text, Reading reading = {});
  bool has_too_many_tokens() const { return has_too_many_tokens_; }

  // All tokens without white space and comments, in order. Valid until the next read().
  std::span<const Token> tokens() const { return {tokens_.get(), token_count_}; }
  // The text with a ShapeMarker for each literal, comments left out, and each run of white space and comments
  // between tokens as one space. Texts of equal shape have equal tokens in all but the literals' values.
  // Valid until the next read().
  std::string_view shape() const { return {shape_.get() + 1, shape_size_}; }
  // /* mosaic shard=42 */ or /* mosaic user_id=123 */ before the first token; points into the text.
  const Hint& hint() const { return hint_; }

  // Gives memory back when an unusually long text made it more than `bytes`; tokens and shape are gone then.
  void shrink_to(size_t bytes);

 private:
  class Pass;
  // False: there are kTokensMax already.
  [[gnu::noinline]] bool grow_tokens(size_t count);

  std::unique_ptr<Token[]> tokens_;
  size_t token_count_ = 0;
  size_t token_capacity_ = 0;
  std::unique_ptr<char[]> shape_;  // behind one space
  size_t shape_size_ = 0;
  size_t shape_capacity_ = 0;
  bool has_too_many_tokens_ = false;
  Hint hint_;
};

// A hint from the inside of a comment (" mosaic shard=42 "); kind kNone when it is not one of ours.
Hint parse_comment_hint(std::string_view comment);

}  // namespace mosaic::routing
