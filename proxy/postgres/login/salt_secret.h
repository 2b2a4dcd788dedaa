#pragma once
// The secret from which salts are made (AuthFile), kept in a file so that a restart changes none. A stranger
// who asks for a user's salt before and after a restart learns nothing: whether the user exists or not, it is
// the same. Called by Proxy at start.

#include <string>

#include "proxy/postgres/login/scram.h"
#include "routing/result.h"

namespace mosaic::proxy {

// Reads `folder`/salt_secret, or makes it (and the folder) with a fresh secret, readable by its owner alone.
// Proxies that start at the same time with one folder all get the same. Errors name the path; a damaged file
// is one, for a new secret would change every salt.
routing::Result<ScramKey> load_or_make_salt_secret(const std::string& folder);

}  // namespace mosaic::proxy
