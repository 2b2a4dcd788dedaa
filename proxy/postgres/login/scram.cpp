#include "proxy/postgres/login/scram.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "pool/postgres/saslprep.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

using pool::decode_base64;
using pool::decode_scram_key;
using pool::encode_base64;
using pool::scram_hash;
using pool::scram_hmac;
using pool::view_of;
using routing::Error;
using routing::Result;

constexpr std::string_view kSecretPrefix = "SCRAM-SHA-256$";

Error malformed(std::string detail) {
  return Error{routing::sqlstate::kProtocolViolation, "malformed SCRAM message", std::move(detail),
               "this is a fault of the client driver"};
}

// What PostgreSQL tells apart from a violation (read_client_first_message in auth-scram.c).
Error unsupported(std::string what) {
  return Error{routing::sqlstate::kFeatureNotSupported, "the client requires what SCRAM here does not have",
               std::move(what), "use a driver that does not insist on it"};
}

// Takes "<name>=<value>" and the comma behind it off `rest` (RFC 5802, section 5.1).
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
  const size_t end = std::min(rest.find(','), rest.size());
  const std::string_view value = rest.substr(2, end - 2);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return value;
}

// RFC 5802: "printable", which is ASCII without the comma. An empty one is the client's own risk, and
// PostgreSQL lets it.
bool is_nonce(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f' && c != ','; });
}

}  // namespace

std::optional<ScramVerifier> parse_scram_secret(std::string_view text) {
  if (!text.starts_with(kSecretPrefix)) return std::nullopt;
  text.remove_prefix(kSecretPrefix.size());
  const size_t colon = text.find(':'), dollar = text.find('$');
  const size_t second_colon = text.rfind(':');
  if (dollar == std::string_view::npos || colon > dollar || second_colon < dollar) return std::nullopt;

  ScramVerifier verifier;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + colon, verifier.iterations);
  if (failure != std::errc() || end != text.data() + colon || verifier.iterations == 0 ||
      verifier.iterations > 0x7fffffffu) {
    return std::nullopt;
  }
  const auto salt = decode_base64(text.substr(colon + 1, dollar - colon - 1));
  const auto stored_key = decode_scram_key(text.substr(dollar + 1, second_colon - dollar - 1));
  const auto server_key = decode_scram_key(text.substr(second_colon + 1));
  if (!salt || salt->empty() || !stored_key || !server_key) return std::nullopt;
  verifier.salt = *salt;
  verifier.stored_key = *stored_key;
  verifier.server_key = *server_key;
  return verifier;
}

ScramVerifier derive_scram_verifier(std::string_view password, std::string salt, uint32_t iterations) {
  ScramKey salted = pool::salt_password(pool::saslprep(password), salt, iterations);
  ScramVerifier verifier;
  verifier.salt = std::move(salt);
  verifier.iterations = iterations;
  verifier.stored_key = scram_hash(view_of(scram_hmac(view_of(salted), "Client Key")));
  verifier.server_key = scram_hmac(view_of(salted), "Server Key");
  pool::wipe(salted);
  return verifier;
}

std::string derive_scram_salt(const ScramKey& secret, std::string_view user, size_t count) {
  std::string salt;
  for (char block = 0; salt.size() < count; ++block) {
    salt += view_of(scram_hmac(view_of(secret), std::string(1, block).append(user)));
  }
  salt.resize(count);
  return salt;
}

ScramExchange::ScramExchange(ScramVerifier verifier, bool can_succeed, std::string server_nonce)
    : verifier_(std::move(verifier)), can_succeed_(can_succeed), nonce_(std::move(server_nonce)) {}

Result<std::string> ScramExchange::on_client_first(std::string_view message) {
  // gs2-header: 'n' (no channel binding) or 'y' (would have, but sees that we have none); then an authzid,
  // which PostgreSQL has no use for either.
  if (message.starts_with("p=")) {
    return malformed("the client asks for channel binding, which SCRAM-SHA-256 without -PLUS does not have");
  }
  if (!message.starts_with("n,") && !message.starts_with("y,")) return malformed("no channel-binding flag");
  if (message.substr(2, 2) == "a=") return unsupported("an authorization identity");
  if (message.substr(2, 1) != ",") return malformed("expected a= or a comma");
  channel_binding_ = encode_base64(message.substr(0, 3));
  message.remove_prefix(3);
  client_first_bare_ = message;

  if (message.starts_with("m=")) return unsupported("an extension");
  // The name is ignored, as by PostgreSQL: the startup packet's counts. Unknown extensions may follow the
  // nonce.
  if (!take_attribute(message, 'n')) return malformed("expected n=");
  const auto client_nonce = take_attribute(message, 'r');
  if (!client_nonce || !is_nonce(*client_nonce)) return malformed("expected r= and a printable nonce");

  nonce_.insert(0, *client_nonce);
  server_first_ = fmt::format("r={},s={},i={}", nonce_, encode_base64(verifier_.salt), verifier_.iterations);
  return server_first_;
}

Result<ScramExchange::Verdict> ScramExchange::on_client_final(std::string_view message) {
  std::string_view rest = message;
  const auto binding = take_attribute(rest, 'c');
  if (!binding || *binding != channel_binding_) return malformed("unexpected channel-binding data");
  const auto nonce = take_attribute(rest, 'r');
  if (!nonce || *nonce != nonce_) return malformed("the nonce is not the one sent");
  // Extensions may stand between the nonce and the proof; the proof is last.
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return malformed("expected p= and the proof");
  const auto proof = decode_scram_key(message.substr(proof_at + 3));
  if (!proof) return malformed("the proof is not 32 bytes of base64");

  const std::string auth_message =
      fmt::format("{},{},{}", client_first_bare_, server_first_, message.substr(0, proof_at));
  ScramKey client_key = scram_hmac(view_of(verifier_.stored_key), auth_message);
  for (size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= (*proof)[i];
  const ScramKey stored_key = scram_hash(view_of(client_key));
  const bool is_right = pool::is_equal(stored_key, verifier_.stored_key);

  Verdict verdict;
  verdict.message = "v=" + encode_base64(view_of(scram_hmac(view_of(verifier_.server_key), auth_message)));
  verdict.is_accepted = is_right && can_succeed_;
  return verdict;
}

}  // namespace mosaic::proxy
