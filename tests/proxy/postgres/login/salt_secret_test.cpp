#include "proxy/postgres/login/salt_secret.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "proxy/postgres/login/auth_file.h"

namespace mosaic::proxy {
namespace {

class SaltSecret : public testing::Test {
 protected:
  SaltSecret() {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    state_ = folder_ + "/state";
    path_ = state_ + "/salt_secret";
  }
  ~SaltSecret() override { std::filesystem::remove_all(folder_); }

  ScramKey load() {
    auto key = load_or_make_salt_secret(state_);
    EXPECT_TRUE(key) << (key ? "" : key.error().to_line());
    return key ? *key : ScramKey{};
  }

  std::string folder_ = (std::filesystem::temp_directory_path() / "mosaic-salt-XXXXXX").string();
  std::string state_, path_;
};

TEST_F(SaltSecret, is_made_once_for_its_owner_alone) {
  const ScramKey first = load();
  EXPECT_NE(first, ScramKey{});
  EXPECT_EQ(load(), first);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(state_)) ++files;
  EXPECT_EQ(files, 1u) << "nothing is left of the making";
  std::filesystem::remove(path_);
  EXPECT_NE(load(), first);
}

TEST_F(SaltSecret, is_the_same_for_all_that_start_at_once) {
  std::vector<ScramKey> keys(16);
  std::vector<std::thread> threads;
  for (ScramKey& key : keys) threads.emplace_back([&] { key = load(); });
  for (std::thread& thread : threads) thread.join();
  for (const ScramKey& key : keys) EXPECT_EQ(key, keys[0]);
}

TEST_F(SaltSecret, keeps_every_users_challenge_over_a_restart) {
  const auto challenge = [&](const std::string& user) {
    const auto file = AuthFile::parse("\"ann\" \"pencil\"\n", load());
    const ScramCredential credential = file->credential_of(user);
    return std::pair(credential.verifier.salt, credential.verifier.iterations);
  };
  for (const char* user : {"ann", "eve", "", "postgres", "a very long name of nobody at all"})
    EXPECT_EQ(challenge(user), challenge(user)) << user;
}

TEST_F(SaltSecret, is_refused_when_it_is_damaged) {
  load();
  for (const char* text : {"", "\n", "short\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"}) {
    std::ofstream(path_, std::ios::trunc) << text;
    const auto key = load_or_make_salt_secret(state_);
    ASSERT_FALSE(key) << text;
    EXPECT_NE(key.error().message.find(path_), std::string::npos);
  }
  std::ofstream(path_, std::ios::trunc) << "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
  EXPECT_EQ(load(), ScramKey{}) << "one copied from another proxy";
}

TEST_F(SaltSecret, says_why_it_can_not_be_kept) {
  std::ofstream(state_) << "a file where the folder should be";
  const auto key = load_or_make_salt_secret(state_);
  ASSERT_FALSE(key);
  EXPECT_NE(key.error().hint.find("state_dir"), std::string::npos);
}

}  // namespace
}  // namespace mosaic::proxy
