#pragma once
// What the catalog needs to know of a table's columns, read from the table itself: their types, and whether
// its key and ID columns are of a kind that shards can be told from. Called by `mosaic init`.

#include "admin/catalog/catalog_json.h"
#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "routing/result.h"
#include "routing/shard_function.h"

namespace mosaic::admin {

struct TableColumns {
  Columns columns;
  routing::KeyType key_type = routing::KeyType::kInt8;
};

// Of public.<table> on this connection's node. Errors: no such key or ID column, or one of an unusable type.
routing::Result<TableColumns> read_table_columns(Connection& connection, const TableConfig& table,
                                                 routing::ShardFunction function);

}  // namespace mosaic::admin
