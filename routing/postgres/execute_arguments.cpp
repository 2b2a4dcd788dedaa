#include "routing/postgres/execute_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "routing/postgres/sql/string_literal.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

Error unreadable(size_t index) {
  return {sqlstate::kUnusableKey,
          fmt::format("argument {} of EXECUTE is written in a form of string that Mosaic does not read",
                      index + 1),
          "", "Write it as '...' without Unicode escapes."};
}

// The literal's value, in `text`.
Status read_literal_value(const AnalyzedStatement& statement, const KeySource& source, size_t index,
                          ClientEncoding encoding, std::string& text, bool& is_null) {
  const Token& token = statement.tokens[source.index];
  const std::string_view written = statement.text.substr(token.begin, token.end - token.begin);
  is_null = token.kind == TokenKind::kWord;  // no other literal is a word
  if (token.kind != TokenKind::kString) {
    if (source.kind == KeySource::Kind::kNegatedLiteral) text.push_back('-');
    text += written;
    return {};
  }
  std::string converted, scratch;
  const auto utf8 = to_utf8(encoding, written, converted);
  if (!utf8) return utf8.error();
  const auto value = read_string_literal(*utf8, statement.reading, scratch);
  if (!value) return unreadable(index);
  text = *value;
  return {};
}

}  // namespace

Result<ExecuteArguments> ExecuteArguments::read(const AnalyzedStatement& statement, const StatementPart& part,
                                                const Parameters& outer, ClientEncoding encoding) {
  assert(part.execute);
  const std::vector<ExecuteCall::Argument>& arguments = part.execute->arguments;
  ExecuteArguments result;
  result.texts_.resize(arguments.size());
  result.values_.resize(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    Parameter& value = result.values_[i];
    if (!arguments[i].value) {
      value.is_computed = true;
      continue;
    }
    const KeySource& source = *arguments[i].value;
    if (source.kind == KeySource::Kind::kParameter) {
      if (const auto bound = outer.find(source.index)) {
        value = *bound;
      } else {
        value.is_computed = true;
      }
      continue;
    }
    if (Status status = read_literal_value(statement, source, i, encoding, result.texts_[i], value.is_null);
        !status)
      return status.error();
    value.is_utf8 = true;
    value.type_oid = arguments[i].type_oid;
    value.bytes = result.texts_[i];
  }
  return result;
}

bool ExecuteArguments::has_all_values() const {
  return std::none_of(values_.begin(), values_.end(),
                      [](const Parameter& value) { return value.is_computed; });
}

std::string_view text_of(const AnalyzedStatement& statement, TokenRange range) {
  if (range.first >= range.last) return {};
  const uint32_t begin = statement.tokens[range.first].begin;
  return statement.text.substr(begin, statement.tokens[range.last - 1].end - begin);
}

}  // namespace mosaic::routing
