#pragma once
// SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677; PostgreSQL manual, "SASL Authentication"): verifiers
// and the exchange of messages, without I/O. Knows no users: AuthFile keeps verifiers, Login frames the
// messages. The client's side, towards
// nodes, is pool/postgres/server_login.h.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pool/postgres/scram_keys.h"
#include "routing/result.h"

namespace mosaic::proxy {

using pool::make_scram_nonce;
using pool::ScramKey;

// PostgreSQL's defaults, which are therefore what most challenges look like.
inline constexpr uint32_t kScramIterations = 4096;
inline constexpr size_t kScramSaltBytes = 16;

// What a server must know to check a password: not enough to log in with.
struct ScramVerifier {
  std::string salt;  // raw bytes
  uint32_t iterations = kScramIterations;
  ScramKey stored_key{};
  ScramKey server_key{};
};

// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", as in pg_authid.rolpassword; nothing when it
// is not exactly that.
std::optional<ScramVerifier> parse_scram_secret(std::string_view text);

// Slow by design (PBKDF2: about a millisecond for 4096 iterations): at load, never per login. The password is
// prepared (pool/postgres/saslprep.h), as clients do with what is typed.
ScramVerifier derive_scram_verifier(std::string_view password, std::string salt, uint32_t iterations);

// `count` bytes that only the holder of `secret` can tell from random, always the same for one name.
std::string derive_scram_salt(const ScramKey& secret, std::string_view user, size_t count);

// One login's exchange. Each function is called once, in order. Errors are kProtocolViolation: messages that
// no correct client sends; a wrong password is none.
class ScramExchange {
 public:
  // `can_succeed` false: every password is wrong, in the same number of steps, bytes and hashes.
  ScramExchange(ScramVerifier verifier, bool can_succeed, std::string server_nonce);

  // client-first-message in, server-first-message out.
  routing::Result<std::string> on_client_first(std::string_view message);

  struct Verdict {
    bool is_accepted = false;
    std::string message;  // server-final-message, to be sent only when accepted
  };
  routing::Result<Verdict> on_client_final(std::string_view message);

 private:
  ScramVerifier verifier_;
  bool can_succeed_;
  std::string nonce_;            // the server's, then both
  std::string channel_binding_;  // what c= must say
  std::string client_first_bare_;
  std::string server_first_;
};

}  // namespace mosaic::proxy
