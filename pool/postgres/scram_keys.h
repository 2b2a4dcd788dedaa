#pragma once
// The cryptography that a login needs on either side, clients to Mosaic and Mosaic to nodes: the hashes of
// SCRAM-SHA-256 (RFC 5802, RFC 7677), base64, and PostgreSQL's md5. Pure functions over bytes; who speaks the
// protocol is proxy/postgres/login/scram.h and server_login.h.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mosaic::pool {

using ScramKey = std::array<uint8_t, 32>;

inline std::string_view view_of(const ScramKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

ScramKey scram_hmac(std::string_view key, std::string_view message);
ScramKey scram_hash(std::string_view message);
// Slow by design: about a millisecond for 4096 iterations.
ScramKey salt_password(std::string_view password, std::string_view salt, uint32_t iterations);
// Takes the same time for every difference.
bool is_equal(const ScramKey& one, const ScramKey& other);
// A fresh nonce: 24 printable characters, as PostgreSQL's.
std::string make_scram_nonce();

std::string encode_base64(std::string_view bytes);
std::optional<std::string> decode_base64(std::string_view text);  // canonical form only
std::optional<ScramKey> decode_scram_key(std::string_view text);  // of base64

// What AuthenticationMD5Password asks for: "md5" md5(md5(password user) salt), in hexadecimal (PostgreSQL
// manual, "Message Flow", Start-up). Nothing where OpenSSL refuses md5 (FIPS).
std::optional<std::string> md5_answer(std::string_view user, std::string_view password,
                                      std::string_view salt);

// Overwrites a secret before its memory is freed.
void wipe(std::string& secret);
void wipe(ScramKey& secret);

}  // namespace mosaic::pool
