#include "proxy/postgres/login/auth_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/proxy/postgres/login/scram_client.h"

namespace mosaic::proxy {
namespace {

constexpr const char* kSecretOfPencil =
    "SCRAM-SHA-256$15000:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

AuthFile parse(std::string_view text) {
  auto file = AuthFile::parse(text, ScramKey{});
  EXPECT_TRUE(file) << (file ? "" : file.error().to_line());
  return std::move(*file);
}

bool can_log_in(const AuthFile& file, std::string_view user, const std::string& password) {
  ScramCredential credential = file.credential_of(user);
  ScramExchange exchange(credential.verifier, credential.can_succeed, "servernonce");
  ScramClient client(password);
  const auto first = exchange.on_client_first(client.first());
  const auto verdict = exchange.on_client_final(client.final(*first));
  return verdict && verdict->is_accepted;
}

TEST(AuthFile, reads_plaintext_passwords) {
  const AuthFile file = parse("\"ann\" \"pencil\"\n\"bob\"\t\"pen\"");
  EXPECT_EQ(file.size(), 2u);
  EXPECT_TRUE(file.warnings().empty());
  EXPECT_EQ(file.find("ann")->plaintext, "pencil");
  EXPECT_TRUE(can_log_in(file, "ann", "pencil"));
  EXPECT_TRUE(can_log_in(file, "bob", "pen"));
  EXPECT_FALSE(can_log_in(file, "bob", "pencil"));
  EXPECT_FALSE(can_log_in(file, "eve", "pencil"));
}

TEST(AuthFile, reads_scram_secrets) {
  const AuthFile file = parse(std::string("\"ann\" \"") + kSecretOfPencil + "\"\n");
  ASSERT_NE(file.find("ann"), nullptr);
  EXPECT_EQ(file.find("ann")->plaintext, "");
  EXPECT_EQ(file.find("ann")->verifier->iterations, 15000u);
}

TEST(AuthFile, skips_comments_blank_lines_and_the_rest_of_a_line) {
  const AuthFile file =
      parse("; \"no\" \"no\"\n\n  # \"no\" \"no\"\r\n  \"ann\" \"a\" pool_mode=x ; more\r\n");
  EXPECT_EQ(file.size(), 1u);
  EXPECT_TRUE(can_log_in(file, "ann", "a"));
}

TEST(AuthFile, undoes_doubled_quotes) {
  const AuthFile file = parse(R"("a""nn" "p""""q;#")");
  ASSERT_NE(file.find("a\"nn"), nullptr);
  EXPECT_EQ(file.find("a\"nn")->plaintext, "p\"\"q;#");
}

TEST(AuthFile, keeps_md5_users_out_with_a_warning) {
  const AuthFile file =
      parse("\"ann\" \"md5d41d8cd98f00b204e9800998ecf8427e\"\n\"bob\" \"md5 is my password\"");
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("line 1: user \"ann\" has an md5 password"), std::string::npos);
  EXPECT_FALSE(file.find("ann")->verifier);
  EXPECT_FALSE(can_log_in(file, "ann", "md5d41d8cd98f00b204e9800998ecf8427e"));
  EXPECT_TRUE(can_log_in(file, "bob", "md5 is my password"));
}

TEST(AuthFile, keeps_empty_passwords_out_with_a_warning) {
  const AuthFile file = parse("\"ann\" \"\"");
  EXPECT_EQ(file.warnings().size(), 1u);
  EXPECT_FALSE(can_log_in(file, "ann", ""));
}

TEST(AuthFile, lets_the_last_line_of_a_user_count_and_warns) {
  const AuthFile file = parse("\"ann\" \"old\"\n\"ann\" \"new\"");
  EXPECT_EQ(file.warnings().size(), 1u);
  EXPECT_TRUE(can_log_in(file, "ann", "new"));
  EXPECT_FALSE(can_log_in(file, "ann", "old"));
}

TEST(AuthFile, reports_all_errors_with_line_numbers_and_no_secret) {
  const auto file = AuthFile::parse(
      "\"ann\" \"hunter2\"\nann hunter2\n\"bob\" hunter2\n\"carl\" \"hunter2\n\"dora\"\n"
      "\"\" \"hunter2\"\n\"emil\" \"SCRAM-SHA-256$hunter2\"",
      ScramKey{});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, "auth file: 6 errors");
  for (const char* line : {"line 2:", "line 3:", "line 4:", "line 5:", "line 6:", "line 7:"}) {
    EXPECT_NE(file.error().detail.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(file.error().detail.find("line 1:"), std::string::npos);
  EXPECT_EQ(file.error().to_line().find("hunter2"), std::string::npos);
}

TEST(AuthFile, challenges_an_unknown_user_like_a_known_one) {
  ScramKey secret{};
  secret[5] = 7;
  const auto file = AuthFile::parse(std::string("\"ann\" \"") + kSecretOfPencil + "\"\n", secret);
  const ScramCredential known = file->credential_of("ann");
  const ScramCredential unknown = file->credential_of("eve");
  EXPECT_TRUE(known.can_succeed);
  EXPECT_FALSE(unknown.can_succeed);
  EXPECT_EQ(unknown.verifier.iterations, 15000u);
  EXPECT_EQ(unknown.verifier.salt.size(), known.verifier.salt.size());
  EXPECT_EQ(unknown.verifier.salt, file->credential_of("eve").verifier.salt);
  EXPECT_NE(unknown.verifier.salt, file->credential_of("eva").verifier.salt);
}

TEST(AuthFile, keeps_salts_over_a_reload_that_adds_or_removes_users) {
  const AuthFile before = parse("\"ann\" \"pencil\"\n\"bob\" \"pen\"");
  const auto after = AuthFile::parse("\"ann\" \"pencil\"\n\"eve\" \"ink\"", ScramKey{}, &before);
  ASSERT_TRUE(after);
  for (const char* user : {"ann", "bob", "eve"}) {
    EXPECT_EQ(before.credential_of(user).verifier.salt, after->credential_of(user).verifier.salt) << user;
  }
  EXPECT_TRUE(can_log_in(*after, "ann", "pencil"));
  EXPECT_TRUE(can_log_in(*after, "eve", "ink"));
  EXPECT_FALSE(can_log_in(*after, "bob", "pen"));
}

TEST(AuthFile, takes_a_changed_password_at_reload) {
  const AuthFile before = parse("\"ann\" \"pencil\"");
  const auto after = AuthFile::parse("\"ann\" \"pen\"", ScramKey{}, &before);
  EXPECT_TRUE(can_log_in(*after, "ann", "pen"));
  EXPECT_FALSE(can_log_in(*after, "ann", "pencil"));
}

TEST(AuthFile, loads_from_disk_and_names_the_path_in_errors) {
  std::string folder = (std::filesystem::temp_directory_path() / "mosaic-auth-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/users.txt";
  std::ofstream(path) << "\"ann\" \"pencil\"\n";
  const auto file = AuthFile::load(path, ScramKey{});
  ASSERT_TRUE(file);
  EXPECT_NE(file->find("ann"), nullptr);

  std::ofstream(path) << "broken\n";
  const auto broken = AuthFile::load(path, ScramKey{});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().message, path + ": auth file: 1 error");

  std::filesystem::remove_all(folder);
  const auto missing = AuthFile::load(path, ScramKey{});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "can not read auth file " + path);
  EXPECT_EQ(missing.error().detail, "No such file or directory");
  EXPECT_FALSE(AuthFile::load("/", ScramKey{})) << "a folder is no auth file";
}

}  // namespace
}  // namespace mosaic::proxy
