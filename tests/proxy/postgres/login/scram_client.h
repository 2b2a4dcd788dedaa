#pragma once
// The client's side of SCRAM-SHA-256 for tests, written from RFC 5802 apart from the server's.

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <string>
#include <string_view>

namespace mosaic::proxy {

class ScramClient {
 public:
  explicit ScramClient(std::string password, std::string header = "n,,", std::string nonce = "clientnonce")
      : password_(std::move(password)), header_(std::move(header)), nonce_(std::move(nonce)) {}

  std::string first() const { return header_ + bare(); }

  std::string final(std::string_view server_first) {
    const std::string both = between(server_first, "r=", ",");
    const std::string salt = decode(between(server_first, "s=", ","));
    const int iterations = std::stoi(between(server_first, "i=", ","));
    std::string salted(32, '\0');
    PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), bytes(salt),
                      static_cast<int>(salt.size()), iterations, EVP_sha256(), 32,
                      reinterpret_cast<unsigned char*>(salted.data()));
    const std::string client_key = hmac(salted, "Client Key");
    std::string stored_key(32, '\0');
    SHA256(bytes(client_key), 32, reinterpret_cast<unsigned char*>(stored_key.data()));
    const std::string without_proof = "c=" + encode(header_) + ",r=" + both;
    const std::string message = bare() + "," + std::string(server_first) + "," + without_proof;
    std::string proof = hmac(stored_key, message);
    for (size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
    server_final_ = "v=" + encode(hmac(hmac(salted, "Server Key"), message));
    return without_proof + ",p=" + encode(proof);
  }

  // What the server must say to show that it knows the verifier.
  const std::string& server_final() const { return server_final_; }

  static std::string encode(std::string_view raw) {
    std::string text(raw.size() * 2 + 8, '\0');
    text.resize(static_cast<size_t>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes(raw),
                                                    static_cast<int>(raw.size()))));
    return text;
  }
  static std::string decode(std::string_view text) {
    std::string raw(text.size(), '\0');
    raw.resize(static_cast<size_t>(EVP_DecodeBlock(reinterpret_cast<unsigned char*>(raw.data()), bytes(text),
                                                   static_cast<int>(text.size()))));
    while (!text.empty() && text.back() == '=') text.remove_suffix(1), raw.pop_back();
    return raw;
  }

 private:
  std::string bare() const { return "n=,r=" + nonce_; }
  static const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }
  static std::string hmac(std::string_view key, std::string_view message) {
    std::string out(32, '\0');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(message), message.size(),
         reinterpret_cast<unsigned char*>(out.data()), nullptr);
    return out;
  }
  static std::string between(std::string_view text, std::string_view begin, std::string_view end) {
    const size_t at = text.find(begin) + begin.size();
    return std::string(text.substr(at, text.find(end, at) - at));
  }

  std::string password_, header_, nonce_, server_final_;
};

}  // namespace mosaic::proxy
