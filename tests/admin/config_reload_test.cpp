// What a running process takes over from a file that was read again.
#include "admin/config/config_reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/config/config_loader.h"

namespace mosaic::admin {
namespace {

using testing::ElementsAre;

Config config_of(const std::string& more) {
  ConfigLoad load = parse_config("[database]\nname = 'app'\n[nodes.a]\n" + more, "x.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("x.toml");
  return load.config;
}

TEST(ConfigReload, takes_tables_that_come_and_go_and_their_leaves) {
  const Config running = config_of("[tables.media]\nkey = 'user_id'\n");
  EXPECT_THAT(fixed_differences(running,
                                config_of("[tables.media]\nkey = 'user_id'\nunique_within_shard = ['email']\n"
                                          "[tables.albums]\nkey = 'user_id'\n")),
              ElementsAre());
  EXPECT_THAT(fixed_differences(running, config_of("")), ElementsAre());
}

TEST(ConfigReload, does_not_take_another_key_of_a_table) {
  const Config running = config_of("[tables.media]\nkey = 'user_id'\n");
  EXPECT_THAT(fixed_differences(running, config_of("[tables.media]\nkey = 'owner_id'\n")),
              ElementsAre("tables.media.key: \"user_id\" runs, the file says \"owner_id\""));
}

}  // namespace
}  // namespace mosaic::admin
