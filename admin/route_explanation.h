#pragma once
// EXPLAIN ROUTE and `mosaic route`: asks the router, without running anything, and puts its answer into
// words.

#include <string>
#include <vector>

#include "routing/catalog_snapshot.h"
#include "routing/result.h"

namespace mosaic::admin {

struct RouteFact {
  std::string name;  // "route", "target", "node", "shard", "schema", "reason", "statement"
  std::string value;
};

// Errors: the refusal that a client would get; 42601 for what is no SQL, with the place in its detail.
// Parameters ($1) have no values here, so a statement that is routed by one is refused with that reason.
routing::Result<std::vector<RouteFact>> explain_route(const std::string& statement,
                                                      const routing::CatalogSnapshot& catalog);

// As psql shows an error: "ERROR:  ...\nDETAIL:  ...\nHINT:  ...\nSQLSTATE: ...\n".
std::string error_lines(const routing::Error& error);

}  // namespace mosaic::admin
