#pragma once
// From what the catalog says and what the config declares to the snapshot that routes. Pure. A disagreement
// is an error that names every difference: routing by half-true rules would put rows where nobody finds them.

#include <memory>

#include "admin/catalog/catalog_state.h"
#include "admin/catalog/definitions.h"
#include "admin/config/config.h"
#include "routing/catalog_snapshot.h"
#include "routing/result.h"

namespace mosaic::admin {

ClusterLayout layout_of(const Config& config);
// The tables as the config declares them; key types and columns are the catalog's to know.
std::vector<CatalogTable> declared_tables(const Config& config);

// What the two say differently, one line each: "shards.count: the catalog says 1024, the config 64".
std::vector<std::string> differences(const CatalogState& state, const Config& config);
// Tables that only one of them knows. What the config alone lists is not made yet; what the catalog alone
// lists is routed as the catalog says.
std::vector<std::string> unmade_tables(const CatalogState& state, const Config& config);
std::vector<std::string> unlisted_tables(const CatalogState& state, const Config& config);
// The same as lines for an operator, with what to do.
std::vector<std::string> describe_one_sided_tables(const CatalogState& state, const Config& config);

bool is_in_use(const CatalogState& state, const std::string& node);
// Nodes of the configuration to which no statement goes, as lines for an operator, with what to do.
std::vector<std::string> describe_unused_nodes(const CatalogState& state, const Config& config);

// Errors: unfinished init, differences, something on a node that the config does not list.
routing::Result<std::shared_ptr<const routing::CatalogSnapshot>> build_snapshot(
    const CatalogState& state, const Config& config, const Definitions& definitions = {});

}  // namespace mosaic::admin
