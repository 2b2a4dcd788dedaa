#pragma once
// The SQL that makes the catalog's own tables: on the catalog's node the shard map, on every node the record
// of what `mosaic init` has applied there.

#include <string>
#include <string_view>

namespace mosaic::admin {

// Channel on which every change of the catalog is announced; the payload is the changed table's name.
inline constexpr std::string_view kCatalogChannel = "mosaic_catalog";

// Channel on which a change of one shard's place is announced: "shard epoch held_ms node".
inline constexpr std::string_view kMapChannel = "mosaic_map";

// Grows when the catalog's tables change shape.
inline constexpr int kCatalogFormat = 1;

// Statements for one transaction; `schema` is a plain identifier. Fails when they exist.
std::string catalog_ddl(const std::string& schema);

// Its part about nodes, which catalogs of earlier versions lack. Safe to run where it exists.
std::string catalog_nodes_ddl(const std::string& schema);

// Its part about moves of shards, likewise; behind that about nodes.
std::string catalog_moves_ddl(const std::string& schema);

// The record of what was applied to a node. Safe to run where it exists.
std::string node_record_ddl(const std::string& schema);

}  // namespace mosaic::admin
