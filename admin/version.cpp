#include "admin/version.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <spdlog/version.h>
#include <toml++/toml.h>
#include <uv.h>
#include <xxhash.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>

#include "admin/revision.h"
#include "routing/postgres/sql/parse_tree.h"

namespace mosaic::admin {

std::string mosaic_version() { return MOSAIC_VERSION; }

std::string mosaic_revision() { return MOSAIC_REVISION; }

std::string library_versions() {
  const unsigned xxhash = XXH_versionNumber();
  return fmt::format(
      "libpg_query, the parser of PostgreSQL {}\nlibpq {}.{}\nlibuv {}\nxxHash {}.{}.{}\nfmt "
      "{}.{}.{}\nspdlog {}.{}.{}\ntoml++ {}.{}.{}\nnlohmann-json "
      "{}.{}.{}\nCLI11 {}\n",
      routing::parser_version(), PQlibVersion() / 10000, PQlibVersion() % 10000, uv_version_string(),
      xxhash / 10000, xxhash / 100 % 100, xxhash % 100, FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
      FMT_VERSION % 100, SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH, TOML_LIB_MAJOR, TOML_LIB_MINOR,
      TOML_LIB_PATCH, NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH,
      CLI11_VERSION);
}

}  // namespace mosaic::admin
