#pragma once
// One way to write a shape: a text with its tokens, as a template for the next. Who sends a statement again
// sends it letter for letter but for the literals; so it is enough to compare what stands between them and to
// read the literals anew, which takes a third of the time of reading all tokens.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/route.h"
#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

class Spelling {
 public:
  // Texts above this are read as a whole each time.
  static constexpr size_t kTextBytesMax = 4096;

  // The same for all texts of a spelling, and seldom for others: of what stands before the first literal, or
  // before the first digit in a name.
  static uint64_t hash_of_beginning(std::string_view text);

  // Makes a text with tokens the template; `hint` as in Tokenizer::hint(). Allocates only when it is longer
  // than those before it.
  void assign(std::string_view text, Reading reading, std::span<const Token> tokens, const Hint& hint);
  size_t bytes() const { return text_.capacity() + 1 + tokens_.capacity() * sizeof(Token); }

  // Whether `text` is spelled and read alike; then `tokens` and `hint` are what a Tokenizer would find in it.
  bool matches(std::string_view text, Reading reading, std::vector<Token>& tokens, Hint& hint) const;

 private:
  std::string text_;
  std::vector<Token> tokens_;
  Hint hint_;  // points into text_
  Reading reading_;
};

}  // namespace mosaic::routing
