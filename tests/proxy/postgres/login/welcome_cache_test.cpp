#include "proxy/postgres/login/welcome_cache.h"

#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

TEST(WelcomeCache, keeps_answers_by_user_and_settings) {
  pool::NameValuesTable table;
  const auto none = table.empty();
  const auto german = table.intern({{"datestyle", "German"}});
  const auto of_app = table.intern({{"is_superuser", "off"}});
  const auto of_root = table.intern({{"is_superuser", "on"}});
  WelcomeCache cache;
  cache.store("postgres", none, of_root);
  EXPECT_EQ(cache.find("app", none), nullptr);
  EXPECT_EQ(cache.find("postgres", german), nullptr);
  EXPECT_EQ(cache.find("", none), nullptr);
  EXPECT_EQ(cache.find("postgre", none), nullptr);
  cache.store("app", none, of_app);
  EXPECT_EQ(cache.find("postgres", none), of_root);
  EXPECT_EQ(cache.find("app", none), of_app);
  cache.clear();
  EXPECT_EQ(cache.find("app", none), nullptr);
}

TEST(WelcomeCache, stays_bounded) {
  pool::NameValuesTable table;
  WelcomeCache cache;
  for (int i = 0; i < 5'000; ++i) cache.store("user" + std::to_string(i), table.empty(), table.empty());
  int kept = 0;
  for (int i = 0; i < 5'000; ++i) kept += cache.find("user" + std::to_string(i), table.empty()) != nullptr;
  EXPECT_GT(kept, 0);
  EXPECT_LE(kept, 1'024);
}

// One user's welcome must not be what the next one is told, nor what DISCARD ALL shows.
TEST(WelcomeCache, a_session_asks_a_server_of_its_own_user) {
  SessionScript s;
  const auto log_in_as = [&](std::string_view user) {
    s.session.reset();
    s.outbox.lease_request.reset();
    s.session = std::make_unique<Session>(s.environment, s.outbox);
    s.session->on_login(user, {}, 1, 2);
    return s.outbox.lease_request.has_value();
  };
  EXPECT_TRUE(log_in_as("postgres")) << "only the welcome of app is known";
  EXPECT_TRUE(s.to_client().empty());
  EXPECT_FALSE(log_in_as("app"));
  EXPECT_FALSE(s.to_client().empty());
  EXPECT_TRUE(log_in_as("App"));
}

}  // namespace
}  // namespace mosaic::proxy
