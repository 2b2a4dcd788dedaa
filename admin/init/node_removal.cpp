#include "admin/init/node_removal.h"

#include <fmt/format.h>

#include "admin/catalog/catalog_store.h"
#include "admin/catalog/node_connection.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Status;

constexpr std::chrono::milliseconds kNodeLimit{3000};  // to log in to the node, and for its answer
constexpr std::chrono::milliseconds kCatalogLimit{10'000};

// A node that is not in use is not asked for them by COMMIT PREPARED.
Status refuse_prepared_transactions(const Config& config, const NodeConfig& node, const Say& say,
                                    const StopSignal& stop) {
  auto connection =
      connect_to_node(config, node, {.connect = kNodeLimit, .query = kNodeLimit, .stop = &stop});
  auto rows = connection ? connection->query(
                               "SELECT gid FROM pg_prepared_xacts WHERE database = "
                               "current_database() ORDER BY prepared")
                         : routing::Result<Rows>(connection.error());
  if (!rows) {
    say(fmt::format("node {} was not asked for prepared transactions: {}", node.address.name,
                    rows.error().to_line()));
    return {};
  }
  if (rows->count() == 0) return {};
  return Error{routing::sqlstate::kObjectInUse,
               fmt::format("node \"{}\" has {} prepared transaction{}", node.address.name, rows->count(),
                           rows->count() == 1 ? "" : "s"),
               fmt::format("the oldest is {}", rows->text(0, 0)),
               "COMMIT PREPARED or ROLLBACK PREPARED first"};
}

}  // namespace

Status take_out_of_use(const Config& config, const NodeChange& change, const Say& say,
                       const StopSignal& stop) {
  auto connection = Connection::open(admin_target(*config.find_node(config.catalog.node)),
                                     {.connect = kCatalogLimit, .query = kCatalogLimit, .stop = &stop});
  if (!connection) return connection.error();
  CatalogStore store(std::move(*connection), config);
  if (Status status = store.remove_node(change.node, true); !status) return status;
  if (const NodeConfig* node = config.find_node(change.node)) {
    if (Status status = refuse_prepared_transactions(config, *node, say, stop); !status) return status;
  }
  if (change.is_dry_run) {
    say(fmt::format("node {} would be taken out of use: nothing is there", change.node));
    return {};
  }
  return store.remove_node(change.node, false);
}

}  // namespace mosaic::admin
