#include "pool/postgres/scram_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "pool/random.h"

namespace mosaic::pool {

namespace {

constexpr size_t kNonceBytes = 18;  // 24 characters of base64

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::optional<std::string> md5_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_md5(), nullptr) != 1) return std::nullopt;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

// Fails only when OpenSSL has no SHA-256 (a broken installation): a zero key must never be compared with.
ScramKey scram_hmac(std::string_view key, std::string_view message) {
  ScramKey out;
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(message), message.size(),
           out.data(), &size) == nullptr) {
    std::abort();
  }
  return out;
}

ScramKey scram_hash(std::string_view message) {
  ScramKey out;
  SHA256(bytes_of(message), message.size(), out.data());
  return out;
}

ScramKey salt_password(std::string_view password, std::string_view salt, uint32_t iterations) {
  ScramKey out;
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt),
                        static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                        static_cast<int>(out.size()), out.data()) != 1) {
    std::abort();
  }
  return out;
}

bool is_equal(const ScramKey& one, const ScramKey& other) {
  return CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

std::string make_scram_nonce() {
  std::array<uint8_t, kNonceBytes> bytes;
  fill_random(bytes);
  return encode_base64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string encode_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes_of(bytes),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), bytes_of(text),
                      static_cast<int>(text.size())) < 0) {
    return std::nullopt;
  }
  const size_t padding = static_cast<size_t>(std::count(text.begin(), text.end(), '='));
  bytes.resize(bytes.size() - std::min<size_t>(padding, 2));
  // OpenSSL accepts white space and padding in odd places; the canonical form is the only one PostgreSQL
  // writes.
  if (encode_base64(bytes) != text) return std::nullopt;
  return bytes;
}

std::optional<ScramKey> decode_scram_key(std::string_view text) {
  const auto bytes = decode_base64(text);
  if (!bytes || bytes->size() != ScramKey{}.size()) return std::nullopt;
  ScramKey key;
  std::memcpy(key.data(), bytes->data(), key.size());
  return key;
}

std::optional<std::string> md5_answer(std::string_view user, std::string_view password,
                                      std::string_view salt) {
  auto stored = md5_hex(std::string(password).append(user));
  if (!stored) return std::nullopt;
  const auto answer = md5_hex(stored->append(salt));
  return answer ? std::optional("md5" + *answer) : std::nullopt;
}

void wipe(std::string& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }
void wipe(ScramKey& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace mosaic::pool
