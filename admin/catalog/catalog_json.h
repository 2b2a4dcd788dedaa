#pragma once
// CatalogState as JSON: what the map file holds. Columns alone are also what the catalog's tables hold.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/catalog/catalog_state.h"
#include "routing/result.h"

namespace mosaic::admin {

std::string to_json(const CatalogState& state);
// Errors say which part is missing or of the wrong type.
routing::Result<CatalogState> parse_catalog_json(std::string_view text);

// [{"name": "user_id", "type": 20, "modifier": -1}, ...]
std::string columns_to_json(const Columns& columns);
routing::Result<Columns> parse_columns_json(std::string_view text);

}  // namespace mosaic::admin
