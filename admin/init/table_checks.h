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

// Of public.<table> on this connection's node; `table` is a sharded one. One line for each reason why rows
// would be lost or doubled, with what to write instead; it begins with the key of the configuration or the
// name of the table that it is about. Nothing where the table does not exist.
routing::Result<std::vector<std::string>> check_sharded_table(Connection& connection,
                                                              const TableConfig& table);

// One line for each function and view of this node that names a sharded table where a relation stands,
// without leave of the configuration. Within it the name means public.<table>, which is empty: it fails, or,
// where a superuser owns it, sees no rows.
routing::Result<std::vector<std::string>> find_blind_functions(Connection& connection, const Config& config);

}  // namespace mosaic::admin
