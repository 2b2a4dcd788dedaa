#include "routing/postgres/sql/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "routing/postgres/sql/bindable_literals.h"
#include "routing/postgres/sql/nesting.h"
#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/query_analysis.h"
#include "routing/postgres/sql/statement_analysis.h"
#include "routing/postgres/sql/tokenizer.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

uint32_t highest_parameter(std::string_view text, std::span<const Token> tokens) {
  uint32_t highest = 0;
  for (const Token& token : tokens) {
    if (token.kind != TokenKind::kParameter) continue;
    uint32_t number = 0;
    std::from_chars(text.data() + token.begin + 1, text.data() + token.end, number);
    highest = std::max(highest, number);
  }
  return highest;
}

StatementPlan refused_plan(size_t token_count, Error error) {
  StatementPlan plan;
  StatementPart& part = plan.parts.emplace_back();
  part.kind = StatementKind::kUtility;
  part.placement = Placement::kDefault;
  part.last_token = static_cast<uint32_t>(token_count);
  part.refusal = std::move(error);
  return plan;
}

void set_token_range(const PgQuery__RawStmt& raw, const StatementSource& source, StatementPart& part) {
  const size_t begin = static_cast<size_t>(std::max(raw.stmt_location, 0));
  part.first_token = source.first_token_from(begin);
  // Length 0: up to the end, where a semicolon may stand.
  part.last_token = raw.stmt_len > 0 ? source.first_token_from(begin + static_cast<size_t>(raw.stmt_len))
                                     : static_cast<uint32_t>(source.tokens().size());
  while (part.last_token > part.first_token && source.text_of(part.last_token - 1) == ";") --part.last_token;
}

bool is_query(const Node* statement) {
  return as_select(statement) != nullptr || as_insert(statement) != nullptr ||
         as_update(statement) != nullptr || as_delete(statement) != nullptr || as_merge(statement) != nullptr;
}

// SELECT ... INTO t is CREATE TABLE t AS in other words.
bool has_into(const PgQuery__SelectStmt& select) {
  const PgQuery__SelectStmt* first = &select;
  while (first->larg != nullptr) first = first->larg;
  return first->into_clause != nullptr;
}

bool is_plain_query(const StatementPart& part) {
  return part.kind == StatementKind::kQuery && part.traces.is_empty() && part.pins.is_empty() &&
         part.untold_settings.empty() && !part.may_release_pins && !part.closes_portals && !part.setting &&
         !part.copy && !part.prepare && !part.execute && !part.refusal;
}

bool is_option_on(const PgQuery__DefElem& option, StatementSource& source) {
  if (option.arg == nullptr) return true;
  source.mark_literal_read();
  if (option.arg->node_case == PG_QUERY__NODE__NODE_INTEGER) return option.arg->integer->ival != 0;
  if (option.arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN) return option.arg->boolean->boolval;
  const std::string_view word = string_of(option.arg);
  return word != "off" && word != "false";
}

void analyze_explain(const PgQuery__ExplainStmt& explain, StatementSource& source, StatementPart& part) {
  bool is_executed = false;
  for (const Node* item : MOSAIC_NODES(explain, options)) {
    const auto* option = as_option(item);
    if (option != nullptr && std::string_view(option->defname) == "analyze")
      is_executed = is_option_on(*option, source);
  }
  analyze_statement(explain.query, source, part);
  if (!is_executed) part.is_read = true;
  if (part.execute) part.execute->is_explained = true;
}

}  // namespace

void analyze_query(const Node* query, StatementSource& source, StatementPart& part) {
  part.kind = StatementKind::kQuery;
  const ProtobufCMessage* root = message_of(query);
  if (root == nullptr) return;
  PartFindings findings(source, part);
  QueryAnalysis(findings, *root).analyze(query, nullptr, nullptr);
  findings.finish();
}

void analyze_statement(const Node* statement, StatementSource& source, StatementPart& part) {
  if (statement == nullptr) return;
  if (analyze_session_statement(statement, source, part)) return;
  if (statement->node_case == PG_QUERY__NODE__NODE_EXPLAIN_STMT) {
    return analyze_explain(*statement->explain_stmt, source, part);
  }
  if (statement->node_case == PG_QUERY__NODE__NODE_COPY_STMT &&
      analyze_copy(*statement->copy_stmt, source, part)) {
    return;
  }
  const auto* select = as_select(statement);
  if (is_query(statement) && (select == nullptr || !has_into(*select)))
    return analyze_query(statement, source, part);
  analyze_definition(statement, source, part);
}

StatementPlan invalid_plan(size_t token_count) {
  StatementPlan plan;
  StatementPart& part = plan.parts.emplace_back();
  part.kind = StatementKind::kInvalid;
  part.placement = Placement::kDefault;
  part.last_token = static_cast<uint32_t>(token_count);
  return plan;
}

StatementPlan too_many_tokens_plan() {
  return refused_plan(
      0, {sqlstate::kLimitExceeded,
          fmt::format("the statement has more than {} words (literals, names, operators ...)", kTokensMax),
          "Statements with more are not parsed.", "Send it in parts, or use COPY."});
}

Analysis analyze_text(std::string_view text, std::span<const Token> tokens, Reading reading,
                      const CatalogSnapshot& catalog, std::span<const std::string> schemas) {
  Analysis analysis;
  if (estimate_nesting(text, tokens) > kNestingMax) {
    analysis.plan = refused_plan(
        tokens.size(), {sqlstate::kLimitExceeded,
                        fmt::format("the statement is nested more than {} levels deep", kNestingMax), "",
                        "Simplify the expression, or use parameters and arrays instead of generated text."});
    return analysis;
  }
  // From here on another text of the same tokens may stand for the statement: a plan speaks of tokens only.
  const std::optional<PortableText> parsed = text_to_parse(text, tokens, reading);
  if (parsed) {
    text = parsed->text;
    tokens = parsed->tokens;
  }
  const auto tree = ParseTree::parse(text);
  if (!tree) {
    analysis.plan = invalid_plan(tokens.size());
    analysis.is_valid = false;
    return analysis;
  }
  StatementSource source(text, tokens, catalog, schemas);
  for (size_t i = 0; i < tree->root().n_stmts; ++i) {
    const PgQuery__RawStmt& raw = *tree->root().stmts[i];
    StatementPart& part = analysis.plan.parts.emplace_back();
    set_token_range(raw, source, part);
    analyze_statement(raw.stmt, source, part);
  }
  // $1 in the body of a function is its argument.
  const bool is_function = tree->root().n_stmts == 1 && tree->root().stmts[0]->stmt->node_case ==
                                                            PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT;
  if (!is_function) analysis.plan.parameter_count = highest_parameter(text, tokens);
  analysis.plan.is_plain = analysis.plan.parts.size() == 1 && is_plain_query(analysis.plan.parts[0]);
  analysis.depends_on_literals = source.depends_on_literals();
  if (analysis.plan.parts.size() == 1 && analysis.plan.parameter_count == 0 &&
      !analysis.depends_on_literals && is_query(tree->root().stmts[0]->stmt)) {
    StatementPart& part = analysis.plan.parts[0];
    if (part.kind == StatementKind::kQuery && !part.pins_session() && !part.refusal)
      part.bindable = find_bindable_literals(tree->root().stmts[0]->stmt, source);
  }
  return analysis;
}

}  // namespace mosaic::routing
