#pragma once
// Where a starting process gets its shard map: the catalog, else the last map on disk, else nowhere, and says
// why.

#include "admin/catalog/catalog_state.h"
#include "admin/config/config.h"
#include "routing/result.h"

namespace mosaic::admin {

struct FoundCatalog {
  CatalogState state;
  std::string warning;  // not empty: the map is from disk; since when, and what that means
};

enum class CatalogSearch : uint8_t { kCatalogThenDisk, kDiskOnly };

// Waits at most catalog.connect_timeout for the catalog. A catalog that answers but is unusable (no tables,
// another format) is an error at once: the map on disk stands in for a catalog that is down, not for a wrong
// one.
routing::Result<FoundCatalog> find_catalog(const Config& config, CatalogSearch search);

// The catalog that the configuration names is that of the cluster, as far as can be seen now. Errors: there
// is none, or another cluster's; none when it can not be reached.
routing::Status check_catalog_identity(const Config& config, const std::string& cluster_id);

}  // namespace mosaic::admin
