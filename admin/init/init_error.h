#pragma once
// The error that `mosaic init` ends with where the configuration and the nodes do not fit each other.

#include <string>
#include <utility>

#include "routing/result.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

inline routing::Error init_error(std::string message, std::string detail, std::string hint) {
  return {routing::sqlstate::kConfigError, std::move(message), std::move(detail), std::move(hint)};
}

}  // namespace mosaic::admin
