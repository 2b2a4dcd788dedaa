#pragma once
// What would not hold over shards as it does on one server, read from the tables themselves: keys whose
// equality is not that of their bytes, uniqueness and counters that each shard would have for itself,
// functions that would look at the empty twins. Called by `mosaic init` before anything is made, and by
// `mosaic check`.

#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "routing/result.h"

namespace mosaic::admin {

// Lines that begin with the key of the configuration or the name of the table that they are about.
struct TableFindings {
  std::vector<std::string> errors;    // rows would be lost or doubled
  std::vector<std::string> warnings;  // works, though not as on one server
};

// Of public.<table> on this connection's node; `table` is a sharded one. Nothing where the table does not
// exist.
routing::Result<TableFindings> check_sharded_table(Connection& connection, const TableConfig& table);

// Warnings: functions and views of this node that name a sharded table. Within them the name means
// public.<table>, which is empty: they fail, or, where a superuser owns them, see no rows.
routing::Result<std::vector<std::string>> find_blind_functions(Connection& connection, const Config& config);

}  // namespace mosaic::admin
