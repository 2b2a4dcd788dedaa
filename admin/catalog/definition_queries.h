#pragma once
// The SQL by which Mosaic reads, on one node, what may run beside the statements that clients write. Of
// PostgreSQL 14 and newer; with search_path = pg_catalog.

#include <string_view>

namespace mosaic::admin {

// Rows (kind, name, source, calls, writes, is_opaque) for routing::Definition: kind is f(unction), r(elation
// read) or w(ritten), or b for the name of a built-in function that is immutable or stable; calls and writes
// are JSON lists. $1: a regular expression for the schemas of shards, of which only $2 is looked at: they are
// all alike. $3, $4: names of functions and of extensions that an operator vouches for. At most
// kDefinitionRowsMax + 1 rows.
std::string_view definitions_sql();
inline constexpr int kDefinitionRowsMax = 100'000;

// Rows (relation, schema): relations outside of `public` and the shards that have one of the names $2. $1 as
// above.
std::string_view namesakes_sql();

// Rows (role, value): what ALTER ROLE and ALTER DATABASE make search_path in this database; role is empty for
// all. The narrowest setting first.
std::string_view search_paths_sql();

}  // namespace mosaic::admin
