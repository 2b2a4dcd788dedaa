#pragma once
// Reads and writes the catalog over one connection to its node. Blocking; one thread at a time. Knows the
// catalog's tables, not who changes them when: that is init's and the watcher's affair.

#include <string>
#include <vector>

#include "admin/catalog/catalog_state.h"
#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "routing/result.h"

namespace mosaic::admin {

// This process, as the catalog lists it.
struct ProxyIdentity {
  std::string id;  // unique per process
  std::string host;
  int pid = 0;
  uint16_t port = 0;
  std::string version;
};

// What a proxy tells of itself now and then.
struct ProxyLoad {
  uint64_t epoch = 0;  // of the shard map that it routes by
  uint64_t clients = 0;
};

// One row of SHOW PROXIES; times as PostgreSQL writes them.
struct ProxyRow {
  ProxyIdentity identity;
  ProxyLoad load;
  uint64_t epochs_behind = 0;  // of the catalog's map
  uint64_t silent_ms = 0;      // since its heartbeat
  std::string started_at;
  std::string heartbeat_at;
  bool operator==(const ProxyRow& other) const {
    return identity.id == other.identity.id && heartbeat_at == other.heartbeat_at;
  }
};

// Where running proxies reach the catalog.
ConnectionTarget catalog_target(const Config& config);

class CatalogStore {
 public:
  CatalogStore(Connection connection, const Config& config);
  // With a connection that was opened by catalog_target(). Adds to the error what to do.
  static routing::Result<CatalogStore> open(const Config& config, const StopSignal* stop);

  Connection& connection() { return connection_; }

  // False: `mosaic init` has not begun here.
  routing::Result<bool> exists();
  // One consistent picture. The columns are those of the live tables in `public` where there are any.
  // Errors: no catalog here, a catalog of another format, unreadable rows.
  routing::Result<CatalogState> load();
  // Stores the live columns where they differ from the stored ones; announces it by that.
  routing::Status refresh_columns();

  // Takes the node out of use, for all proxies; only when nothing is on it (is_dry_run: says only whether).
  // Errors: a node that is not in use; what is still there.
  routing::Status remove_node(const std::string& node, bool is_dry_run);

  routing::Status listen();
  // Tells all proxies that something other than the catalog's tables has changed: they look at everything
  // anew.
  routing::Status announce_definitions();
  // Inserts this proxy's row or renews its heartbeat; forgets proxies silent for a day.
  routing::Status beat(const ProxyIdentity& proxy, const ProxyLoad& load);
  routing::Status leave(const ProxyIdentity& proxy);
  routing::Result<std::vector<ProxyRow>> proxies();

 private:
  routing::Result<bool> counts_clients();
  std::string sql(std::string_view statement) const;  // puts the schema's name in for "{s}"
  routing::Result<CatalogState> load_in_transaction();
  routing::Result<CatalogState> load_meta();
  routing::Status load_shards(CatalogState& state);
  routing::Status load_tables(CatalogState& state);
  routing::Status load_nodes(CatalogState& state);
  routing::Status refuse_moving(const std::string& node);

  Connection connection_;
  std::string schema_;
  std::string node_;  // that holds the catalog
};

}  // namespace mosaic::admin
