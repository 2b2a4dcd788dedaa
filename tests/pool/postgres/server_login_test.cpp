// The client's side of a login, told to servers right, wrong and hostile. Against a real PostgreSQL it is
// each end-to-end test's beginning.

#include "pool/postgres/server_login.h"

#include <gtest/gtest.h>

#include <functional>

#include "proxy/postgres/login/login.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::pool {
namespace {

using State = ServerLogin::State;
namespace sqlstate = routing::sqlstate;

struct Script {
  explicit Script(std::string password = "pencil")
      : login({"app", "photos", std::move(password)}, "rOprNGfwEbeRWgbNEkqO") {
    login.begin(out);
    out.clear();
  }
  State take(const routing::ByteBuffer& bytes) { return take(std::string(bytes.view())); }
  State take(const std::string& bytes) {
    input.append(bytes);
    out.clear();
    return login.on_bytes(input, out);
  }
  State authentication(uint32_t code, std::string_view data = {}) {
    routing::ByteBuffer bytes;
    routing::append_authentication(bytes, code, data);
    return take(bytes);
  }
  State finish() {
    routing::ByteBuffer bytes;
    routing::append_parameter_status(bytes, "server_version", "15.0");
    routing::append_backend_key(bytes, 7, 0xfedcba98);
    routing::append_ready(bytes, 'I');
    return take(bytes);
  }
  std::string body() const { return std::string(out.view().substr(std::min<size_t>(5, out.size()))); }

  ServerLogin login;
  routing::ByteBuffer input, out;
};

const std::string kScramOffer("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 34);
// RFC 7677's example.
const std::string kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

TEST(ServerLogin, sends_a_start_up_packet_and_reports_what_the_server_tells) {
  ServerLogin login({"app", "photos", ""}, "nonce");
  routing::ByteBuffer out, input;
  login.begin(out);
  const std::string body("\0\x03\0\0user\0app\0database\0photos\0client_encoding\0UTF8\0\0", 51);
  EXPECT_EQ(routing::read_u32(out.data()), body.size() + 4);
  EXPECT_EQ(out.view().substr(4), body);

  Script s;
  EXPECT_EQ(s.authentication(0), State::kMore);
  EXPECT_EQ(s.finish(), State::kReady);
  EXPECT_EQ(s.login.parameters(), (NameValues::Entries{{"server_version", "15.0"}}));
  EXPECT_EQ(s.login.backend_key().process_id, 7u);
  EXPECT_EQ(s.login.backend_key().secret, 0xfedcba98u);
}

TEST(ServerLogin, takes_a_login_byte_by_byte_and_what_follows_it) {
  routing::ByteBuffer bytes;
  routing::append_authentication(bytes, 0);
  routing::append_notice(bytes, {"00000", "welcome", "", ""});
  routing::append_parameter_status(bytes, "TimeZone", "UTC");
  routing::append_ready(bytes, 'I');
  routing::append_parameter_status(bytes, "TimeZone", "Asia/Tokyo");  // the config was read again just now
  Script whole;
  EXPECT_EQ(whole.take(bytes), State::kReady);
  EXPECT_EQ(whole.login.parameters(), (NameValues::Entries{{"TimeZone", "Asia/Tokyo"}}));
  Script slow;
  State state = State::kMore;
  size_t taken = 0;
  for (const char byte : bytes.view()) {
    if (state != State::kMore) break;
    state = slow.take(std::string(1, byte));
    ++taken;
  }
  EXPECT_EQ(state, State::kReady);
  EXPECT_LT(taken, bytes.size()) << "what comes after the login is an event of an idle connection";
}

TEST(ServerLogin, answers_password_and_md5) {
  Script clear;
  EXPECT_EQ(clear.authentication(3), State::kMore);
  EXPECT_EQ(clear.body(), std::string("pencil\0", 7));
  Script md5;
  EXPECT_EQ(md5.authentication(5, "\x01\x02\x03\x04"), State::kMore);
  EXPECT_EQ(md5.body(), std::string("md54bfca4ca571b8df74c2fc2247888d96f\0", 36));
}

TEST(ServerLogin, speaks_scram_in_postgresqls_form) {
  Script s;
  EXPECT_EQ(s.authentication(10, kScramOffer), State::kMore);
  const std::string first = "n,,n=,r=rOprNGfwEbeRWgbNEkqO";  // PostgreSQL takes the start-up packet's user
  routing::ByteBuffer expected;
  expected.append_c_string("SCRAM-SHA-256");
  expected.append_u32(static_cast<uint32_t>(first.size()));
  expected.append(first);
  EXPECT_EQ(s.body(), expected.view());
  EXPECT_EQ(s.authentication(11, kServerFirst), State::kMore);
  EXPECT_TRUE(s.body().starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
}

// Both sides of the protocol, written apart, agree; the password is prepared on both.
TEST(ServerLogin, convinces_mosaics_own_login_and_is_convinced) {
  for (const auto& [stored, used] : {std::pair<std::string, std::string>{"pencil", "pencil"},
                                     {"caf\u00e9", "cafe\u0301"},
                                     {"a\u00a0b", "a b"},
                                     {"\xff\xfe", "\xff\xfe"}}) {
    proxy::LoginRules rules;
    rules.database = "photos";
    auto file = proxy::AuthFile::parse("\"app\" \"" + stored + "\"", ScramKey{});
    rules.auth_file = std::make_shared<proxy::AuthFile>(std::move(*file));
    proxy::Login server(std::make_shared<proxy::LoginRules>(rules), make_scram_nonce());
    ServerLogin client({"app", "photos", used}, make_scram_nonce());
    routing::ByteBuffer to_server, to_client;
    client.begin(to_server);
    auto state = proxy::Login::State::kMore;
    for (int turn = 0; turn < 5 && state == proxy::Login::State::kMore; ++turn) {
      state = server.on_bytes(to_server, to_client);
      ASSERT_EQ(client.on_bytes(to_client, to_server), State::kMore) << client.error().to_line();
    }
    EXPECT_EQ(state, proxy::Login::State::kAuthenticated) << stored;
    routing::append_ready(to_client, 'I');
    EXPECT_EQ(client.on_bytes(to_client, to_server), State::kReady);
  }
}

TEST(ServerLogin, tells_what_the_server_said) {
  Script s;
  routing::ByteBuffer bytes;
  routing::append_error(bytes, {"53300", "sorry, too many clients already", "", ""}, "FATAL");
  EXPECT_EQ(s.take(bytes), State::kFailed);
  EXPECT_EQ(s.login.error().sqlstate, "53300");
  EXPECT_EQ(s.login.error().message, "sorry, too many clients already");
  Script old;
  EXPECT_EQ(old.take("Ecould not fork new process for connection: no memory\n"), State::kFailed);
  EXPECT_EQ(old.login.error().detail, "could not fork new process for connection: no memory");
}

TEST(ServerLogin, refuses_what_no_postgresql_says) {
  const auto fails = [](const char* what, const std::function<State(Script&)>& tell) {
    Script s;
    EXPECT_EQ(tell(s), State::kFailed) << what;
    EXPECT_EQ(s.login.error().sqlstate, sqlstate::kProtocolViolation) << what;
    EXPECT_FALSE(s.login.error().message.empty()) << what;
  };
  const auto scram = [](Script& s, std::string_view first) {
    EXPECT_EQ(s.authentication(10, kScramOffer), State::kMore);
    return s.authentication(11, first);
  };
  fails("HTTP", [](Script& s) { return s.take("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  fails("TLS alert", [](Script& s) { return s.take(std::string("\x15\x03\x01\0\x02\x02\x28", 7)); });
  fails("negative length", [](Script& s) { return s.take("R\xff\xff\xff\xff"); });
  fails("length 3", [](Script& s) { return s.take(std::string("R\0\0\0\x03", 5)); });
  fails("huge", [](Script& s) { return s.take(std::string("S\x7f\xff\xff\xff", 5)); });
  fails("ready before authentication", [](Script& s) { return s.finish(); });
  fails("a row", [](Script& s) { return s.take(std::string("D\0\0\0\x06\0\0", 7)); });
  fails("empty authentication", [](Script& s) { return s.take(std::string("R\0\0\0\x04", 5)); });
  fails("Kerberos", [](Script& s) { return s.authentication(2); });
  fails("GSSAPI", [](Script& s) { return s.authentication(7); });
  fails("md5 without salt", [](Script& s) { return s.authentication(5, "ab"); });
  fails("authentication twice", [](Script& s) { return s.authentication(0), s.authentication(0); });
  fails("no mechanism", [](Script& s) { return s.authentication(10, std::string("\0", 1)); });
  fails("another mechanism",
        [](Script& s) { return s.authentication(10, std::string("OAUTHBEARER\0\0", 13)); });
  fails("continue unasked", [](Script& s) { return s.authentication(11, kServerFirst); });
  fails("final unasked", [](Script& s) { return s.authentication(12, "v=AAAA"); });
  fails("SASL twice",
        [](Script& s) { return s.authentication(10, kScramOffer), s.authentication(10, kScramOffer); });
  fails("another nonce", [&](Script& s) { return scram(s, "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"); });
  fails("our nonce alone",
        [&](Script& s) { return scram(s, "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"); });
  fails("no salt", [&](Script& s) { return scram(s, "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096"); });
  fails("no iterations",
        [&](Script& s) { return scram(s, "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ=="); });
  fails("iterations 0",
        [&](Script& s) { return scram(s, "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0"); });
  fails("iterations of an hour", [&](Script& s) {
    return scram(s, "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000");
  });
  fails("a wrong proof", [&](Script& s) {
    return scram(s, kServerFirst), s.authentication(12, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  });
  fails("no proof", [&](Script& s) { return scram(s, kServerFirst), s.authentication(0); });
  fails("no proof at all", [&](Script& s) { return s.authentication(10, kScramOffer), s.authentication(0); });
}

TEST(ServerLogin, says_so_when_it_has_no_password) {
  for (const uint32_t code : {3u, 5u, 10u}) {
    Script s("");
    EXPECT_EQ(s.authentication(code, code == 10 ? std::string_view(kScramOffer) : "salt"), State::kFailed);
    EXPECT_NE(s.login.error().message.find("none is known"), std::string::npos);
    EXPECT_TRUE(s.out.is_empty());
  }
}

}  // namespace
}  // namespace mosaic::pool
