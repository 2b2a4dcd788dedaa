// PREPARE and EXECUTE of SQL. A session carries them out: here it learns where the inner statement, its types
// and the arguments stand, in tokens, and which arguments have a value that can be read without a server.

#include <algorithm>
#include <charconv>

#include "routing/postgres/sql/key_source.h"
#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/statement_analysis.h"

namespace mosaic::routing {

namespace {

constexpr uint32_t kInt8Oid = 20, kUuidOid = 2950;  // pg_type.dat

// Behind a name, which may be U&"..." UESCAPE '!'.
uint32_t skip_name(const StatementSource& source, uint32_t token) {
  return is_keyword(source.text_of(token + 1), "uescape") ? token + 3 : token + 1;
}

bool opens(std::string_view token) { return token == "(" || token == "["; }
bool closes(std::string_view token) { return token == ")" || token == "]"; }

// What stands between the parenthesis at `open` and its partner, cut at the commas that are in no further
// brackets.
std::vector<TokenRange> split_list(const StatementSource& source, uint32_t open, uint32_t end) {
  std::vector<TokenRange> items;
  uint32_t first = open + 1;
  int depth = 1;
  for (uint32_t token = first; token < end; ++token) {
    const std::string_view text = source.text_of(token);
    if (opens(text)) ++depth;
    if (closes(text)) --depth;
    if (depth == 0 || (depth == 1 && text == ",")) {
      items.push_back({first, token});
      first = token + 1;
    }
    if (depth == 0) break;
  }
  return items;
}

uint32_t highest_parameter(const StatementSource& source, TokenRange range) {
  uint32_t highest = 0;
  for (uint32_t token = range.first; token < range.last; ++token) {
    if (source.tokens()[token].kind != TokenKind::kParameter) continue;
    const std::string_view text = source.text_of(token);
    uint32_t number = 0;
    std::from_chars(text.data() + 1, text.data() + text.size(), number);
    highest = std::max(highest, number);
  }
  return highest;
}

// The value of an argument as a key of any type would read it; the least particular reading comes first.
void find_value(const StatementSource& source, const Node* expression, ExecuteCall::Argument& argument) {
  if ((argument.value = find_key_source(source, expression, KeyType::kText))) return;
  if ((argument.value = find_key_source(source, expression, KeyType::kInt8))) {
    argument.type_oid = kInt8Oid;
  } else if ((argument.value = find_key_source(source, expression, KeyType::kUuid))) {
    argument.type_oid = kUuidOid;
  }
}

}  // namespace

void analyze_prepare(const PgQuery__PrepareStmt& prepare, const StatementSource& source,
                     StatementPart& part) {
  part.kind = StatementKind::kPrepare;
  part.placement = Placement::kDefault;
  part.name = prepare.name;
  PrepareTarget target;
  uint32_t token = skip_name(source, part.first_token + 1);
  target.name = {part.first_token + 1, token};
  if (source.text_of(token) == "(") {
    const std::vector<TokenRange> types = split_list(source, token, part.last_token);
    if (!types.empty()) {
      target.types = {types.front().first, types.back().last};
      target.type_count = static_cast<uint32_t>(types.size());
      token = types.back().last + 1;
    }
  }
  target.statement = {std::min(token + 1, part.last_token), part.last_token};  // behind AS
  target.parameter_count = std::max(target.type_count, highest_parameter(source, target.statement));
  part.prepare = target;
}

void analyze_execute(const PgQuery__ExecuteStmt& execute, const StatementSource& source,
                     StatementPart& part) {
  part.kind = StatementKind::kExecute;
  part.placement = Placement::kDefault;
  part.name = execute.name;
  ExecuteCall call;
  // EXPLAIN (...) EXECUTE: no option is called like the command.
  uint32_t token = part.first_token;
  while (token < part.last_token && !is_keyword(source.text_of(token), "execute")) ++token;
  call.command = {token, part.last_token};
  call.name = {token + 1, skip_name(source, token + 1)};
  token = call.name.last;
  if (source.text_of(token) == "(") {
    const std::vector<TokenRange> texts = split_list(source, token, part.last_token);
    const NodeList expressions = MOSAIC_NODES(execute, params);
    // A list that is cut otherwise than the grammar cuts it tells nothing.
    for (size_t i = 0; i < expressions.size(); ++i) {
      ExecuteCall::Argument& argument = call.arguments.emplace_back();
      if (texts.size() != expressions.size()) continue;
      argument.text = texts[i];
      find_value(source, expressions[i], argument);
    }
  }
  part.execute = std::move(call);
}

}  // namespace mosaic::routing
