#pragma once
// The catalog that the micro-benchmarks route by: three nodes, tables by int8, text and uuid.

#include "routing/catalog_snapshot.h"
#include "routing/postgres/function_classes.h"

namespace mosaic::micro {

inline routing::CatalogSnapshot::Parts sample_parts(uint16_t shards) {
  routing::CatalogSnapshot::Parts parts;
  parts.functions = routing::FunctionClasses::empty();  // read, and none may leave anything behind
  parts.node_names = {"pg1", "pg2", "pg3"};
  for (uint16_t shard = 0; shard < shards; ++shard) {
    parts.places.push_back({routing::NodeId{static_cast<uint16_t>(shard % 3)}, {}, false});
  }
  for (const char* name : {"users", "media", "likes"}) {
    routing::Table table;
    table.name = name;
    table.key = "user_id";
    table.id = "id";
    parts.tables.push_back(table);
  }
  return parts;
}

}  // namespace mosaic::micro
