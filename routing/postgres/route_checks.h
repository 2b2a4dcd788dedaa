#pragma once
// Why a statement is not to be routed at all, for reasons that are known only when it runs: its encoding, the
// values bound to it, and what a session should have carried out itself. Called by route().

#include <optional>

#include "routing/postgres/router.h"

namespace mosaic::routing {

// `encoding` is not UTF8. In the encodings that are not is_safe() a text beyond ASCII is not cut as the
// server cuts it; in the others a name beyond ASCII is not the one that the catalog knows, which matters
// where that knows any.
std::optional<Error> find_encoding_error(const AnalyzedStatement& statement, ClientEncoding encoding,
                                         const CatalogSnapshot& catalog);
// set_config('client_encoding', $1, false): a value that would not be allowed as a literal. Nothing while it
// is not bound.
std::optional<Error> find_bound_value_error(const SettingChange& setting, const Parameters& parameters);
// PREPARE or EXECUTE where no session knows the statements of that name.
Error unknown_prepared(const StatementPart& part);

}  // namespace mosaic::routing
