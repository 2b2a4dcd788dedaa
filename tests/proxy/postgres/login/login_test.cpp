#include "proxy/postgres/login/login.h"

#include <gtest/gtest.h>

#include "routing/sqlstate.h"
#include "tests/proxy/postgres/login/login_client.h"
#include "tests/proxy/postgres/login/scram_client.h"

namespace mosaic::proxy {
namespace {

using routing::Error;
using State = Login::State;
namespace sqlstate = routing::sqlstate;

LoginRules rules_with(AuthType auth_type) {
  LoginRules rules;
  rules.auth_type = auth_type;
  rules.database = "photos";
  rules.admin_users = {"root"};
  rules.stats_users = {"stats"};
  auto file = AuthFile::parse(
      "\"app\" \"pencil\"\n\"root\" \"pencil\"\n\"old\" \"md5d41d8cd98f00b204e9800998ecf8427e\"", ScramKey{});
  rules.auth_file = std::make_shared<AuthFile>(std::move(*file));
  return rules;
}
LoginRules trust() { return rules_with(AuthType::kTrust); }
LoginRules scram() { return rules_with(AuthType::kScramSha256); }

// The frames of a whole SCRAM login, all of them, and the login's end.
struct ScramLogin {
  explicit ScramLogin(const LoginRules& rules, const std::string& user, const std::string& password,
                      const std::string& database = "photos")
      : script(rules), client(password) {
    add(script.send_for_frames(startup({{"user", user}, {"database", database}})));
    add(script.send_for_frames(sasl_initial(client.first())));
    const std::string server_first = frames.back().body.substr(4);
    add(script.send_for_frames(password_frame(client.final(server_first))));
  }
  void add(std::vector<Frame> more) {
    for (Frame& frame : more) frames.push_back(std::move(frame));
  }
  Error error() const { return routing::parse_error_fields(frames.back().body); }

  LoginScript script;
  ScramClient client;
  std::vector<Frame> frames;
};

TEST(Login, lets_a_trusted_client_in_at_once) {
  LoginScript script(trust());
  const auto frames = script.send_for_frames(startup({{"user", "anyone"}, {"database", "photos"}}));
  EXPECT_EQ(script.state, State::kAuthenticated);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].authentication_code(), 0u);
  EXPECT_EQ(script.login.request().user, "anyone");
  EXPECT_EQ(script.login.request().database, "photos");
  EXPECT_FALSE(script.login.request().is_console);
}

TEST(Login, accepts_the_right_scram_password) {
  ScramLogin login(scram(), "app", "pencil");
  EXPECT_EQ(login.script.state, State::kAuthenticated);
  ASSERT_EQ(login.frames.size(), 4u);
  EXPECT_EQ(login.frames[0].authentication_code(), 10u);
  EXPECT_EQ(login.frames[0].body.substr(4), std::string("SCRAM-SHA-256\0\0", 15));
  EXPECT_EQ(login.frames[1].authentication_code(), 11u);
  EXPECT_EQ(login.frames[2].authentication_code(), 12u);
  EXPECT_EQ(login.frames[2].body.substr(4), login.client.server_final());
  EXPECT_EQ(login.frames[3].authentication_code(), 0u);
}

TEST(Login, answers_wrong_password_unknown_user_and_md5_user_alike) {
  for (const std::string user : {"app", "eve", "old"}) {
    ScramLogin login(scram(), user, "wrong");
    EXPECT_EQ(login.script.state, State::kRejected);
    EXPECT_EQ(login.error().sqlstate, sqlstate::kInvalidPassword);
    EXPECT_EQ(login.error().message, "password authentication failed for user \"" + user + "\"");
    EXPECT_EQ(login.error().detail, "");
    // All names have three letters, so that the frames of all three must have the same types and lengths.
    ScramLogin known(scram(), "app", "wrong");
    ASSERT_EQ(login.frames.size(), known.frames.size());
    for (size_t i = 0; i < known.frames.size(); ++i) {
      EXPECT_EQ(login.frames[i].type, known.frames[i].type);
      EXPECT_EQ(login.frames[i].body.size(), known.frames[i].body.size()) << i;
    }
  }
}

TEST(Login, tells_only_the_operator_why_a_password_failed) {
  EXPECT_EQ(ScramLogin(scram(), "app", "wrong").script.login.reason_for_log(), "wrong password");
  EXPECT_EQ(ScramLogin(scram(), "eve", "wrong").script.login.reason_for_log(),
            "the user is not in the auth file");
  EXPECT_NE(ScramLogin(scram(), "old", "wrong").script.login.reason_for_log(), "wrong password");
}

TEST(Login, challenges_one_unknown_name_with_one_salt) {
  const auto challenge = [](const std::string& user) {
    LoginScript script(scram());
    script.send(startup({{"user", user}, {"database", "photos"}}));
    return script.send(sasl_initial(ScramClient("x").first()));
  };
  EXPECT_EQ(challenge("eve"), challenge("eve"));
  EXPECT_NE(challenge("eve"), challenge("eva"));
}

TEST(Login, works_with_bytes_one_at_a_time) {
  LoginScript script(scram());
  ScramClient client("pencil");
  std::string answer;
  const auto trickle = [&](const std::string& bytes) {
    answer.clear();
    for (const char c : bytes) {
      EXPECT_EQ(answer, "") << "answered before the whole message came";
      EXPECT_EQ(script.state, State::kMore);
      answer += script.send(std::string(1, c));
    }
  };
  trickle(ssl_request());
  EXPECT_EQ(answer, "N");
  trickle(startup({{"user", "app"}, {"database", "photos"}}));
  trickle(sasl_initial(client.first()));
  trickle(password_frame(client.final(answer.substr(9))));
  EXPECT_EQ(script.state, State::kAuthenticated);
  EXPECT_TRUE(script.input.is_empty());
}

TEST(Login, leaves_what_stands_behind_the_login_to_the_session) {
  LoginScript script(trust());
  script.send(startup({{"user", "app"}, {"database", "photos"}}) + "Q....");
  EXPECT_EQ(script.state, State::kAuthenticated);
  EXPECT_EQ(script.input.view(), "Q....");
}

TEST(Login, waits_for_a_client_that_sends_no_initial_response) {
  LoginScript script(scram());
  ScramClient client("pencil");
  script.send(startup({{"user", "app"}, {"database", "photos"}}));
  auto frames = script.send_for_frames(password_frame(std::string("SCRAM-SHA-256\0\xff\xff\xff\xff", 18)));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].body, std::string("\0\0\0\x0b", 4));
  frames = script.send_for_frames(password_frame(client.first()));
  script.send(password_frame(client.final(frames.at(0).body.substr(4))));
  EXPECT_EQ(script.state, State::kAuthenticated);
}

// --- encryption and cancel requests ---

TEST(Login, declines_ssl_and_gss_once_each_in_any_order) {
  for (const auto& [first, second] :
       {std::pair{ssl_request(), gss_request()}, std::pair{gss_request(), ssl_request()}}) {
    LoginScript script(trust());
    EXPECT_EQ(script.send(first), "N");
    EXPECT_EQ(script.send(second), "N");
    script.send(startup({{"user", "app"}, {"database", "photos"}}));
    EXPECT_EQ(script.state, State::kAuthenticated);
  }
}

TEST(Login, refuses_a_second_request_of_one_kind) {
  for (const std::string& request : {ssl_request(), gss_request()}) {
    LoginScript script(trust());
    EXPECT_EQ(script.send(request), "N");
    script.send(request);
    EXPECT_EQ(script.state, State::kRejected);
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kProtocolViolation);
  }
}

TEST(Login, refuses_bytes_stuffed_behind_an_encryption_request) {
  for (const std::string& request : {ssl_request(), gss_request()}) {
    LoginScript script(trust());
    script.send(request + startup({{"user", "app"}, {"database", "photos"}}));
    EXPECT_EQ(script.state, State::kRejected);
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kProtocolViolation);
  }
}

TEST(Login, hands_out_a_cancel_request_also_behind_an_ssl_request) {
  LoginScript script(scram());
  script.send(ssl_request());
  EXPECT_EQ(script.send(cancel_request(7, 0xdeadbeef)), "");
  EXPECT_EQ(script.state, State::kCancelRequest);
  EXPECT_EQ(script.login.cancel_process_id(), 7u);
  EXPECT_EQ(script.login.cancel_secret(), 0xdeadbeefu);
}

// --- the startup packet ---

TEST(Login, keeps_settings_in_postgresqls_order) {
  LoginScript script(trust());
  script.send(startup({{"DateStyle", "ISO"},
                       {"user", "app"},
                       {"application_name", "psql"},
                       {"options", "-c DateStyle=German -c geqo=off"},
                       {"database", "photos"}}));
  ASSERT_EQ(script.state, State::kAuthenticated);
  const std::vector<Setting> expected = {
      {"datestyle", "German"}, {"geqo", "off"}, {"datestyle", "ISO"}, {"application_name", "psql"}};
  EXPECT_EQ(script.login.request().settings, expected);
  EXPECT_EQ(script.login.request().application_name, "psql");
}

TEST(Login, takes_the_user_for_the_database_when_none_is_given) {
  LoginScript script(trust());
  script.send(startup({{"user", "photos"}}));
  EXPECT_EQ(script.state, State::kAuthenticated);
  EXPECT_EQ(script.login.request().database, "photos");
}

TEST(Login, negotiates_newer_minor_versions_and_unknown_protocol_options) {
  const Pairs parameters = {{"user", "app"}, {"_pq_.grease", "1"}, {"database", "photos"}, {"_pq_.x", "2"}};
  LoginScript script(trust());
  const auto frames = script.send_for_frames(startup(parameters, (3u << 16) | 2));
  EXPECT_EQ(script.state, State::kAuthenticated);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, 'v');
  EXPECT_EQ(frames[0].body, std::string("\0\x03\0\0\0\0\0\x02_pq_.grease\0_pq_.x\0", 27));
  EXPECT_TRUE(script.login.request().settings.empty());

  LoginScript minor_only(trust());
  const auto answer =
      minor_only.send_for_frames(startup({{"user", "app"}, {"database", "photos"}}, (3u << 16) | 9999));
  ASSERT_EQ(answer.size(), 2u);
  EXPECT_EQ(answer[0].body, std::string("\0\x03\0\0\0\0\0\0", 8));
}

struct RefusedStartup {
  const char* name;
  Pairs parameters;
  const char* sqlstate;
};

TEST(Login, refuses_startup_packets_with_a_reason) {
  const RefusedStartup cases[] = {
      {"no user", {{"database", "photos"}}, sqlstate::kInvalidAuthorization},
      {"empty user", {{"user", ""}, {"database", "photos"}}, sqlstate::kInvalidAuthorization},
      {"replication", {{"user", "app"}, {"replication", "database"}}, sqlstate::kFeatureNotSupported},
      {"physical", {{"user", "app"}, {"replication", "true"}}, sqlstate::kFeatureNotSupported},
      {"options", {{"user", "app"}, {"options", "-B 10"}}, sqlstate::kSyntaxError},
      {"database", {{"user", "app"}, {"database", "nosuch"}}, sqlstate::kUnknownDatabase},
  };
  for (const RefusedStartup& refused : cases) {
    LoginScript script(trust());
    const auto frames = script.send_for_frames(startup(refused.parameters));
    EXPECT_EQ(script.state, State::kRejected) << refused.name;
    EXPECT_EQ(script.login.error().sqlstate, refused.sqlstate) << refused.name;
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(frames.back().type, 'E') << refused.name;
    EXPECT_NE(frames.back().body.find("SFATAL"), std::string::npos) << refused.name;
  }
}

TEST(Login, accepts_replication_off) {
  LoginScript script(trust());
  script.send(startup({{"user", "app"}, {"database", "photos"}, {"replication", "off"}}));
  EXPECT_EQ(script.state, State::kAuthenticated);
}

TEST(Login, names_no_database_before_authentication) {
  ScramLogin wrong(scram(), "app", "wrong", "nosuch");
  EXPECT_EQ(wrong.error().sqlstate, sqlstate::kInvalidPassword);
  ScramLogin right(scram(), "app", "pencil", "nosuch");
  EXPECT_EQ(right.error().sqlstate, sqlstate::kUnknownDatabase);
  EXPECT_NE(right.error().hint.find("\"photos\""), std::string::npos);
}

TEST(Login, refuses_other_protocols) {
  for (const uint32_t version : {2u << 16, 4u << 16, 0u}) {
    LoginScript script(trust());
    script.send(startup({{"user", "app"}}, version));
    EXPECT_EQ(script.state, State::kRejected);
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kFeatureNotSupported);
  }
}

// --- the console ---

TEST(Login, knows_the_consoles_users) {
  for (const std::string database : {"mosaic", "pgbouncer"}) {
    LoginScript admin(trust());
    admin.send(startup({{"user", "root"}, {"database", database}}));
    EXPECT_EQ(admin.state, State::kAuthenticated);
    EXPECT_TRUE(admin.login.request().is_console);
    EXPECT_TRUE(admin.login.request().is_console_admin);

    LoginScript stats(trust());
    stats.send(startup({{"user", "stats"}, {"database", database}}));
    EXPECT_EQ(stats.state, State::kAuthenticated);
    EXPECT_TRUE(stats.login.request().is_console);
    EXPECT_FALSE(stats.login.request().is_console_admin);

    LoginScript other(trust());
    other.send(startup({{"user", "app"}, {"database", database}}));
    EXPECT_EQ(other.state, State::kRejected);
    EXPECT_EQ(other.login.error().sqlstate, sqlstate::kInsufficientPrivilege);
  }
}

TEST(Login, asks_the_consoles_users_for_their_password_too) {
  EXPECT_EQ(ScramLogin(scram(), "root", "wrong", "mosaic").error().sqlstate, sqlstate::kInvalidPassword);
  EXPECT_EQ(ScramLogin(scram(), "root", "pencil", "mosaic").script.state, State::kAuthenticated);
  EXPECT_EQ(ScramLogin(scram(), "app", "pencil", "mosaic").error().sqlstate,
            sqlstate::kInsufficientPrivilege);
}

// --- garbage ---

// As PostgreSQL: whoever sends this would not understand an ErrorResponse.
TEST(Login, closes_without_a_word_at_impossible_lengths_before_waiting_for_the_bytes) {
  for (const char* bytes : {"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02", "\x7f\xff\xff\xff", "\xff\xff\xff\xff",
                            "Q\0\0\0", "Xyz."}) {
    LoginScript script(trust());
    EXPECT_EQ(script.send(std::string_view(bytes, 4)), "") << bytes;
    EXPECT_EQ(script.state, State::kRejected) << bytes;
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kProtocolViolation);
  }
  for (uint8_t length = 0; length < 8; ++length) {
    LoginScript script(trust());
    EXPECT_EQ(script.send(std::string(3, '\0') + static_cast<char>(length) + "...."), "");
    EXPECT_EQ(script.state, State::kRejected) << int{length};
  }
}

TEST(Login, lets_a_client_go_that_says_so_first) {
  const std::string terminate("X\0\0\0\x04", 5);
  for (const size_t bytes : {size_t{4}, terminate.size()}) {
    LoginScript first(scram());
    EXPECT_EQ(first.send(terminate.substr(0, bytes)), "");
    EXPECT_EQ(first.state, State::kLeft);
  }
  LoginScript behind_encryption_requests(trust());
  behind_encryption_requests.send(gss_request());
  behind_encryption_requests.send(ssl_request());
  EXPECT_EQ(behind_encryption_requests.send(terminate), "");
  EXPECT_EQ(behind_encryption_requests.state, State::kLeft);
}

TEST(Login, accepts_the_longest_startup_packet_and_not_one_byte_more) {
  const auto of_length = [](size_t length) {
    const size_t fixed = startup({{"user", "app"}, {"database", "photos"}, {"x", ""}}).size();
    return startup({{"user", "app"}, {"database", "photos"}, {"x", std::string(length - fixed, 'x')}});
  };
  LoginScript longest(trust());
  longest.send(of_length(routing::kStartupBytesMax));
  EXPECT_EQ(longest.state, State::kAuthenticated);
  LoginScript longer(trust());
  longer.send(of_length(routing::kStartupBytesMax + 1));
  EXPECT_EQ(longer.state, State::kRejected);
}

TEST(Login, refuses_startup_packets_that_end_in_the_middle) {
  for (const std::string_view body : {std::string_view("user"), std::string_view("user\0app\0", 9),
                                      std::string_view("user\0\0", 6), std::string_view("\0\0", 2)}) {
    LoginScript script(trust());
    script.send(packet(3u << 16, body));
    EXPECT_EQ(script.state, State::kRejected);
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kProtocolViolation);
  }
}

TEST(Login, refuses_what_is_no_sasl_response) {
  const std::string messages[] = {std::string("Q\0\0\0\x05\0", 6),
                                  std::string("X\0\0\0\x04", 5),
                                  password_frame(""),
                                  password_frame("SCRAM-SHA-256"),
                                  sasl_initial("n,,n=,r=x", "SCRAM-SHA-256-PLUS"),
                                  sasl_initial("n,,n=,r=x", "MD5"),
                                  sasl_initial("n,,n=,r=x").replace(4, 1, "\x20") + "........",
                                  sasl_initial("nonsense"),
                                  password_frame("pencil")};
  for (const std::string& message : messages) {
    LoginScript script(scram());
    script.send(startup({{"user", "app"}, {"database", "photos"}}));
    script.send(message);
    EXPECT_EQ(script.state, State::kRejected) << message;
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kProtocolViolation) << message;
  }
}

// PostgreSQL says why to its log alone.
TEST(Login, answers_a_sasl_response_of_impossible_length_like_a_wrong_password) {
  const std::string too_long = sasl_initial(std::string(kSaslBytesMax, 'x'));
  for (const std::string& header :
       {std::string("p\0\0\0\x03", 5), std::string("p\0\0\0\0", 5), std::string("p\x7f\xff\xff\xff", 5),
        std::string("p\xff\xff\xff\xff", 5), too_long.substr(0, 5)}) {
    LoginScript script(scram());
    script.send(startup({{"user", "app"}, {"database", "photos"}}));
    script.send(header);
    EXPECT_EQ(script.state, State::kRejected);
    EXPECT_EQ(script.login.error().sqlstate, sqlstate::kInvalidPassword);
    EXPECT_NE(script.login.reason_for_log().find("at most 1024"), std::string::npos);
  }
}

}  // namespace
}  // namespace mosaic::proxy
