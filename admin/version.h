#pragma once
// What this build is: for `mosaic version`, SHOW VERSION and the catalog's list of proxies.

#include <string>

namespace mosaic::admin {

std::string mosaic_version();  // "0.1.0"
// Of the source: a commit, with a + where files were changed since; "unknown" where there is no repository.
std::string mosaic_revision();
std::string library_versions();  // one line each: "libpq 15.6"

}  // namespace mosaic::admin
