#pragma once
// What makes the same statement answer differently on two nodes, beside the rows. Blocking.

#include <string>
#include <vector>

#include "admin/postgres/connection.h"
#include "routing/result.h"

namespace mosaic::admin {

// Settings, settings of roles and of the database, locale and extensions that are others on `node` than on
// `reference`, one line each: "TimeZone is UTC, on the default node Europe/Berlin".
routing::Result<std::vector<std::string>> describe_differences(Connection& reference, Connection& node);

}  // namespace mosaic::admin
