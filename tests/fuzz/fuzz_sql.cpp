// Any text through analysis, routing and rewriting: no crash, no plan that points outside of its text, the
// same plan from the cache as from the parser, a rewritten text that has the same tokens but for the schemas,
// and, where literals may be parameters, a statement of the same tables with as many parameters as values.
// Each text is read with standard_conforming_strings on and off, by one Router. PREPARE and EXECUTE point
// into it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "proxy/postgres/session/query_binder.h"
#include "routing/postgres/router.h"
#include "routing/postgres/sql/tokenizer.h"
#include "routing/postgres/wire/client_messages.h"
#include "tests/routing/sample_catalog.h"

namespace {

using namespace mosaic::routing;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

void check_part(const StatementPart& part, size_t token_count) {
  require(part.first_token <= part.last_token && part.last_token <= token_count, "part outside of the text");
  uint32_t free_from = part.first_token;
  for (const Splice& splice : part.splices) {
    require(splice.token >= free_from && splice.token + splice.count <= part.last_token,
            "splice out of place");
    require(!splice.name.empty() && splice.count > 0, "empty splice");
    free_from = splice.token + splice.count;
  }
  const auto check_range = [&](TokenRange range) {
    require(range.first <= range.last && range.last <= token_count, "a range outside of the text");
  };
  if (part.prepare) {
    check_range(part.prepare->types);
    check_range(part.prepare->statement);
  }
  if (part.execute) {
    check_range(part.execute->command);
    for (const ExecuteCall::Argument& argument : part.execute->arguments) check_range(argument.text);
  }
  for (const TableUse& use : part.uses) {
    for (const KeyTerm& term : use.terms) require(!term.any_of.empty(), "term without values");
  }
}

void check_rewrite(const AnalyzedStatement& statement, const Route& decided, const CatalogSnapshot& catalog) {
  ByteBuffer out;
  append_qualified(out, statement, decided, catalog);
  ptrdiff_t added = 0;
  for (const StatementPart& part : statement.plan->parts) {
    for (const Splice& splice : part.splices)
      added += 3 - static_cast<ptrdiff_t>(splice.count);  // schema, dot, name
  }
  Tokenizer tokenizer;
  require(tokenizer.read(out.view(), statement.reading), "rewritten text has no tokens");
  require(static_cast<ptrdiff_t>(tokenizer.tokens().size() - statement.tokens.size()) == added,
          "rewritten text has other tokens");
}

void check_binding(const AnalyzedStatement& statement, Router& router, const CatalogSnapshot& catalog) {
  static mosaic::proxy::QueryBinder binder;
  const auto* query = binder.bind(statement);
  if (query == nullptr) return;
  const std::string message = std::string(2, '\0') + std::string(query->values);
  const auto bound = parse_bind(message);
  require(static_cast<bool>(bound), "a Bind message that can not be read");
  require(bound->parameter_count * sizeof(uint32_t) == query->types.size(), "other types than values");
  const size_t tables = statement.plan->parts[0].uses.size(), names = statement.plan->parts[0].splices.size();
  const AnalyzedStatement other = router.analyze(query->text, catalog, statement.reading);
  require(other.plan->parts.size() == 1 && other.plan->parts[0].kind == StatementKind::kQuery,
          "a bound text that is no query");
  require(other.plan->parameter_count == bound->parameter_count, "other parameters than values");
  require(other.plan->parts[0].uses.size() == tables && other.plan->parts[0].splices.size() == names,
          "a bound text of other tables");
}

void check(const std::string& text, Reading reading, ClientEncoding encoding) {
  const CatalogSnapshot& catalog = testing::sample_catalog();
  static Router router(RouterLimits{1 << 20, nullptr});
  const CompiledStatement first(router.analyze(text, catalog, reading));
  const AnalyzedStatement second = router.analyze(text, catalog, reading);
  require(first.plan().parts.size() == second.plan->parts.size(), "the cached plan differs");
  for (const StatementPart& part : second.plan->parts) check_part(part, second.tokens.size());

  static constexpr uint32_t kInt8 = 20;
  const Parameters parameters(std::string_view("\0\1", 2), 1,
                              std::string_view("\0\0\0\10\0\0\0\0\0\0\0\5", 12), {&kInt8, 1});
  const Hint hints[] = {{}, {Hint::Kind::kShard, "7"}, {Hint::Kind::kKey, "5"}};
  for (const Hint& hint : hints) {
    const auto decided = route(second, parameters, hint, catalog, NodeId{1}, encoding);
    const auto again = route(first.view(), parameters, hint, catalog, NodeId{1}, encoding);
    require(static_cast<bool>(decided) == static_cast<bool>(again), "the copy routes differently");
    if (!decided) {
      require(decided.error().sqlstate.size() == 5 && !decided.error().message.empty(),
              "an error without words");
      continue;
    }
    require(decided->shard == again->shard && decided->node == again->node, "the copy routes elsewhere");
    require(decided->shard.value < catalog.shard_count(), "no such shard");
    require(!decided->to_text(catalog).empty(), "a route without words");
    const bool is_sql = second.plan->parts.empty() || second.plan->parts[0].kind != StatementKind::kInvalid;
    if (is_sql) check_rewrite(second, *decided, catalog);
  }
  check_binding(first.view(), router, catalog);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find('\0') != std::string::npos) return 0;
  check(text, Reading{true}, ClientEncoding::kUtf8);
  check(text, Reading{false}, ClientEncoding::kWin1252);
  return 0;
}
