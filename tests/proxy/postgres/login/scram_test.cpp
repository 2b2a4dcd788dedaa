#include "proxy/postgres/login/scram.h"

#include <gtest/gtest.h>

#include "tests/proxy/postgres/login/scram_client.h"

namespace mosaic::proxy {
namespace {

// RFC 7677, section 3.
constexpr const char* kRfcClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr const char* kRfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr const char* kRfcNonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr const char* kRfcProof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

ScramVerifier rfc_verifier() {
  return derive_scram_verifier("pencil", ScramClient::decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
}
std::string rfc_final(const std::string& proof = kRfcProof) {
  return std::string("c=biws,r=") + kRfcNonce + ",p=" + proof;
}
ScramExchange rfc_exchange_after_first() {
  ScramExchange exchange(rfc_verifier(), true, kRfcServerNonce);
  EXPECT_TRUE(exchange.on_client_first(kRfcClientFirst));
  return exchange;
}

TEST(ScramExchange, answers_the_rfc_7677_example_byte_for_byte) {
  ScramExchange exchange(rfc_verifier(), true, kRfcServerNonce);
  const auto first = exchange.on_client_first(kRfcClientFirst);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, std::string("r=") + kRfcNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  const auto verdict = exchange.on_client_final(rfc_final());
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->is_accepted);
  EXPECT_EQ(verdict->message, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(ScramExchange, refuses_a_wrong_proof_without_an_error) {
  ScramExchange exchange = rfc_exchange_after_first();
  const auto verdict = exchange.on_client_final(rfc_final("eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->is_accepted);
}

TEST(ScramExchange, refuses_the_right_proof_when_it_can_not_succeed) {
  ScramExchange exchange(rfc_verifier(), false, kRfcServerNonce);
  ASSERT_TRUE(exchange.on_client_first(kRfcClientFirst));
  const auto verdict = exchange.on_client_final(rfc_final());
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->is_accepted);
}

TEST(ScramExchange, accepts_a_client_that_would_have_bound_the_channel) {
  ScramClient client("pencil", "y,,");
  ScramExchange exchange(rfc_verifier(), true, "servernonce");
  const auto first = exchange.on_client_first(client.first());
  ASSERT_TRUE(first);
  const auto verdict = exchange.on_client_final(client.final(*first));
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->is_accepted);
  EXPECT_EQ(verdict->message, client.server_final());
}

TEST(ScramExchange, refuses_a_client_that_changes_its_mind_about_channel_binding) {
  ScramExchange exchange = rfc_exchange_after_first();
  EXPECT_FALSE(exchange.on_client_final(std::string("c=eSws,r=") + kRfcNonce + ",p=" + kRfcProof));
}

TEST(ScramExchange, refuses_malformed_first_messages) {
  for (const char* message : {"", "n", "n,", "n,,", "x,,n=,r=abc", "p=tls-server-end-point,,n=,r=abc",
                              "n,a=root,n=,r=abc", "n,,r=abc", "n,,n=,", "n,,n=,r=a b", "n,,n=,r=a\tb",
                              "n,,m=x,n=,r=abc", "n,,n=,x=abc", "n,,n=,r=\xc3\xa4"}) {
    ScramExchange exchange(rfc_verifier(), true, "servernonce");
    EXPECT_FALSE(exchange.on_client_first(message)) << message;
  }
}

TEST(ScramExchange, refuses_malformed_final_messages) {
  const std::string nonce = kRfcNonce, proof = kRfcProof;
  const std::string messages[] = {"",
                                  "c=biws",
                                  "c=biws,r=" + nonce,
                                  "c=biws,r=" + nonce + "x,p=" + proof,
                                  "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" + proof,
                                  "r=" + nonce + ",p=" + proof,
                                  rfc_final("AAAA"),
                                  rfc_final("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ"),
                                  rfc_final(" HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
                                  rfc_final(proof + ",x=1"),
                                  rfc_final("")};
  for (const std::string& message : messages) {
    ScramExchange exchange = rfc_exchange_after_first();
    EXPECT_FALSE(exchange.on_client_final(message)) << message;
  }
}

TEST(ScramExchange, ignores_unknown_extensions_as_postgresql_does) {
  ScramExchange exchange(rfc_verifier(), true, kRfcServerNonce);
  EXPECT_TRUE(exchange.on_client_first(std::string(kRfcClientFirst) + ",z=later"));
}

TEST(ScramSecret, is_read_as_postgresql_writes_it) {
  // rolpassword of a role made with PASSWORD 'pencil' and the salt of RFC 7677.
  const auto verifier = parse_scram_secret(
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  ASSERT_TRUE(verifier);
  const ScramVerifier derived = rfc_verifier();
  EXPECT_EQ(verifier->salt, derived.salt);
  EXPECT_EQ(verifier->iterations, 4096u);
  EXPECT_EQ(verifier->stored_key, derived.stored_key);
  EXPECT_EQ(verifier->server_key, derived.server_key);
}

TEST(ScramSecret, is_nothing_when_damaged) {
  const std::string key = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
  const std::string salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
  EXPECT_TRUE(parse_scram_secret("SCRAM-SHA-256$1:" + salt + "$" + key + ":" + key));
  for (const std::string& text :
       {std::string(), std::string("SCRAM-SHA-256$"), std::string("SCRAM-SHA-256$$:"),
        "SCRAM-SHA-256$0:" + salt + "$" + key + ":" + key, "SCRAM-SHA-256$-1:" + salt + "$" + key + ":" + key,
        "SCRAM-SHA-256$4294967296:" + salt + "$" + key + ":" + key,
        "SCRAM-SHA-256$1x:" + salt + "$" + key + ":" + key, "SCRAM-SHA-256$1:$" + key + ":" + key,
        "SCRAM-SHA-256$1:" + salt + "$" + key, "SCRAM-SHA-256$1:" + salt + "$" + key + ":",
        "SCRAM-SHA-256$1:" + salt + "$" + key + ":" + salt, "SCRAM-SHA-1$1:" + salt + "$" + key + ":" + key,
        "SCRAM-SHA-256$1:" + salt + "$" + key + ":" + key + "\n"}) {
    EXPECT_FALSE(parse_scram_secret(text)) << text;
  }
}

TEST(ScramSalt, is_stable_for_a_name_and_differs_between_names_and_secrets) {
  ScramKey secret{}, other{};
  other[0] = 1;
  EXPECT_EQ(derive_scram_salt(secret, "ann", 16), derive_scram_salt(secret, "ann", 16));
  EXPECT_NE(derive_scram_salt(secret, "ann", 16), derive_scram_salt(secret, "bob", 16));
  EXPECT_NE(derive_scram_salt(secret, "ann", 16), derive_scram_salt(other, "ann", 16));
  EXPECT_EQ(derive_scram_salt(secret, "ann", 100).size(), 100u);
}

TEST(ScramNonce, is_24_printable_characters_and_never_the_same) {
  const std::string nonce = make_scram_nonce();
  EXPECT_EQ(nonce.size(), 24u);
  EXPECT_EQ(nonce.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
            std::string::npos);
  EXPECT_NE(nonce, make_scram_nonce());
}

}  // namespace
}  // namespace mosaic::proxy
