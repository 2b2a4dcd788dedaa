#include "admin/route_explanation.h"

#include <fmt/format.h>

#include "routing/postgres/router.h"

namespace mosaic::admin {

namespace {

using routing::Route;

std::string_view to_text(Route::Target target) {
  switch (target) {
    case Route::Target::kShard:
      return "shard";
    case Route::Target::kNode:
      return "node";
    case Route::Target::kAnyNode:
      return "any node";
  }
  return "";
}

// What the statement may leave in its server session; empty for nothing.
std::string traces_of(const routing::StatementPlan& plan) {
  routing::Traces traces;
  for (const routing::StatementPart& part : plan.parts) traces.add(part.traces);
  if (traces.has(routing::Trace::kUnknown)) return "anything: it runs code that may change the session";
  return traces.has(routing::Trace::kSequences) ? "currval() and lastval()" : "";
}

}  // namespace

routing::Result<std::vector<RouteFact>> explain_route(const std::string& statement,
                                                      const routing::CatalogSnapshot& catalog) {
  routing::Router router{routing::RouterLimits{}};
  const routing::AnalyzedStatement analyzed = router.analyze(statement, catalog);
  const auto& parts = analyzed.plan->parts;
  // A server's parser speaks of it to clients; here nobody else does.
  if (parts.size() == 1 && parts[0].kind == routing::StatementKind::kInvalid)
    return routing::syntax_error_of(analyzed);
  const auto route =
      routing::route(analyzed, routing::Parameters(), routing::Hint(), catalog, catalog.default_node());
  if (!route) return route.error();
  std::vector<RouteFact> facts = {{"route", route->to_text(catalog)},
                                  {"target", std::string(to_text(route->target))}};
  if (route->target != Route::Target::kAnyNode) facts.push_back({"node", catalog.node_name(route->node)});
  if (route->target == Route::Target::kShard) {
    facts.push_back({"shard", std::to_string(route->shard.value)});
    facts.push_back({"schema", std::string(catalog.schema_of(route->shard))});
  }
  facts.push_back({"reason", std::string(routing::to_text(route->reason))});
  if (const std::string traces = traces_of(*analyzed.plan); !traces.empty())
    facts.push_back({"leaves", traces});
  routing::ByteBuffer qualified;
  routing::append_qualified(qualified, analyzed, *route, catalog);
  facts.push_back({"statement", std::string(qualified.view())});
  return facts;
}

std::string error_lines(const routing::Error& error) {
  std::string text = fmt::format("ERROR:  {}\n", error.message);
  if (!error.detail.empty()) text += fmt::format("DETAIL:  {}\n", error.detail);
  if (!error.hint.empty()) text += fmt::format("HINT:  {}\n", error.hint);
  return text + fmt::format("SQLSTATE:  {}\n", error.sqlstate);
}

}  // namespace mosaic::admin
