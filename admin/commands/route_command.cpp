#include <fmt/format.h>

#include <iostream>

#include "admin/catalog/catalog_source.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/route_explanation.h"

namespace mosaic::admin {

namespace {

// A map from disk is used where the nodes are not to be asked.
Definitions definitions_for(const Config& config, const CatalogState& state, const RouteOptions& options) {
  return options.is_offline ? Definitions() : read_definitions_once(config, state);
}

}  // namespace

int route_command(const std::string& config_path, const RouteOptions& options) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  const auto found = find_catalog(
      load.config, options.is_offline ? CatalogSearch::kDiskOnly : CatalogSearch::kCatalogThenDisk);
  auto snapshot =
      found ? build_snapshot(found->state, load.config, definitions_for(load.config, found->state, options))
            : routing::Result<std::shared_ptr<const routing::CatalogSnapshot>>(found.error());
  if (!snapshot) {
    std::cerr << "mosaic route: " << snapshot.error().to_line() << '\n';
    return 1;
  }
  if (!found->warning.empty()) std::cerr << "warning: " << found->warning << '\n';
  const auto explanation = explain_route(options.statement, **snapshot);
  if (!explanation) {
    std::cerr << error_lines(explanation.error());
    return 1;
  }
  for (const RouteFact& fact : *explanation) std::cout << fmt::format("{:<10} {}\n", fact.name, fact.value);
  return 0;
}

}  // namespace mosaic::admin
