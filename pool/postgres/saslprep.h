#pragma once
// SASLprep (RFC 4013), which SCRAM wants passwords to go through before they are hashed, so that one password
// typed on two systems is one password: accents composed, full-width letters narrowed, soft hyphens dropped.

#include <string>
#include <string_view>

namespace mosaic::pool {

// As PostgreSQL does on both sides (pg_saslprep in saslprep.c, and its callers): a password that is not
// UTF-8, or that SASLprep forbids (controls, characters that Unicode 3.2 does not know, mixed directions), is
// taken byte for byte. Never fails.
std::string saslprep(std::string_view password);

}  // namespace mosaic::pool
