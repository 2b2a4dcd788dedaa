#include "admin/catalog/catalog_source.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "admin/catalog/catalog_store.h"
#include "admin/catalog/map_file.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;

std::string since_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

bool is_unreachable(const Error& error) {
  // Class 57 is "operator intervention": starting up, shutting down, too slow.
  return error.sqlstate == routing::sqlstate::kConnectionFailure || error.sqlstate.starts_with("57");
}

}  // namespace

Result<FoundCatalog> find_catalog(const Config& config, CatalogSearch search) {
  std::string reason = "the catalog was not asked (offline)";
  Error unreachable;
  if (search == CatalogSearch::kCatalogThenDisk) {
    auto store = CatalogStore::open(config, nullptr);
    auto state = store ? store->load() : Result<CatalogState>(store.error());
    if (state) return FoundCatalog{std::move(*state), ""};
    if (!is_unreachable(state.error())) return state.error();
    unreachable = state.error();
    reason = unreachable.to_line();
  }
  const MapFile file(config.state_dir);
  auto map = file.read();
  if (!map) {
    if (search == CatalogSearch::kDiskOnly) return map.error();
    unreachable.detail += fmt::format("; and {}", map.error().to_line());
    unreachable.hint = "start the catalog's node; later starts can use the map kept in [mosaic] state_dir";
    return unreachable;
  }
  return FoundCatalog{
      std::move(map->state),
      fmt::format("using the shard map on disk, written {} ({}): {}. Moves of shards since then are unknown",
                  since_text(map->written_at), file.path(), reason)};
}

routing::Status check_catalog_identity(const Config& config, const std::string& cluster_id) {
  auto store = CatalogStore::open(config, nullptr);
  auto state = store ? store->load() : Result<CatalogState>(store.error());
  if (!state) return is_unreachable(state.error()) ? routing::Status() : routing::Status(state.error());
  if (state->cluster_id == cluster_id) return {};
  return Error{routing::sqlstate::kConfigError,
               fmt::format("the catalog on node {} is that of another cluster", config.catalog.node),
               fmt::format("it says {}, this cluster is {}", state->cluster_id, cluster_id),
               "correct [catalog] or the node's address"};
}

}  // namespace mosaic::admin
