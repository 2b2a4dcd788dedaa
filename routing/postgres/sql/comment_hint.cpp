// The hint in a leading comment: /* mosaic shard=42 */, /* mosaic user_id='7f3a' */.

#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::routing {

namespace {

constexpr std::string_view kSpaces = " \t\r\n\f";

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  // Still inside of the statement, where a compiled copy looks for it.
  if (first == std::string_view::npos) return text.substr(0, 0);
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

Hint parse_comment_hint(std::string_view comment) {
  constexpr std::string_view kName = "mosaic";
  comment = trim(comment);
  if (!comment.starts_with(kName)) return {};
  const std::string_view rest = comment.substr(kName.size());
  // "mosaic" must be a word of its own: "mosaics=1" is somebody else's comment.
  if (rest.empty() || kSpaces.find(rest.front()) == std::string_view::npos) return {};
  const size_t equals = rest.find('=');
  if (equals == std::string_view::npos) return {};
  const std::string_view name = trim(rest.substr(0, equals));
  std::string_view value = trim(rest.substr(equals + 1));
  if (name.empty() || name.find_first_of(kSpaces) != std::string_view::npos) return {};
  if (value.size() >= 2 && (value.front() == '\'' || value.front() == '"') && value.back() == value.front()) {
    value = value.substr(1, value.size() - 2);
  }
  return {name == "shard" ? Hint::Kind::kShard : Hint::Kind::kKey, value};
}

}  // namespace mosaic::routing
