#pragma once
// The password that libpq would use of itself: PGPASSWORD, or a line of the password file (PostgreSQL manual,
// "The Password File"). For users whose password for the nodes is not in the auth file.

#include <string>

#include "pool/pool_settings.h"

namespace mosaic::pool {

// Empty when there is none. Reads a file, connects to nothing.
std::string find_libpq_password(const NodeAddress& node, const std::string& user);

}  // namespace mosaic::pool
