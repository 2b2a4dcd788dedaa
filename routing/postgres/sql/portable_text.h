#pragma once
// A statement's text written so that it means the same whatever standard_conforming_strings is: plain strings
// with a backslash become E'...'. The same tokens in the same order, so that what is known of a token by its
// index is true of both texts. For libpg_query, which knows only `on`, and for texts that a server gets under
// another setting than the one that its client wrote them under.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

struct PortableText {
  std::string text;
  std::vector<Token> tokens;  // of `text`
};

// Whether some literal has another value, or another end, under the other reading. (U&'...', which only one
// of them takes, counts as that: it stays as it is, for a server to refuse.)
bool depends_on_reading(std::string_view text, std::span<const Token> tokens);

// `tokens`: those of `text` under `reading`.
PortableText make_portable(std::string_view text, std::span<const Token> tokens, Reading reading);

// The text of some neighbouring tokens of a statement, which must not be none, written like that.
std::string portable_text_of(std::string_view text, std::span<const Token> tokens, Reading reading);

// What libpg_query is to parse in place of `text`; nothing: the text itself. It reads with
// standard_conforming_strings on and takes all bytes for UTF8, which it checks in E'...': in texts of other
// encodings, question marks stand in such strings for what is beyond ASCII. It keeps comments as tokens, and
// so does not see that a string goes on behind one: spaces stand for such comments.
std::optional<PortableText> text_to_parse(std::string_view text, std::span<const Token> tokens,
                                          Reading reading);

}  // namespace mosaic::routing
