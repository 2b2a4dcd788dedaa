// What a running process takes over from a file that was read again.
#include "admin/config/config_reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/config/config_loader.h"

namespace mosaic::admin {
namespace {

using testing::ElementsAre;

Config config_of(const std::string& more) {
  ConfigLoad load = parse_config("[database]\nname = 'app'\n" + more, "x.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("x.toml");
  return load.config;
}

TEST(ConfigReload, names_what_needs_a_restart) {
  const Config running = config_of("[nodes.a]\n[listen]\nport = 1\n");
  EXPECT_THAT(fixed_differences(running, config_of("[nodes.a]\n[listen]\nport = 2\n[mosaic]\nworkers = 3\n")),
              ElementsAre("listen.port: 1 runs, the file says 2", "mosaic.workers: 0 runs, the file says 3"));
}

TEST(ConfigReload, takes_tables_nodes_and_passwords) {
  const Config running = config_of("[nodes.a]\n[tables.media]\nkey = 'user_id'\n");
  for (const char* text :
       {"[nodes.a]\n", "[nodes.a]\nport = 7\n[nodes.b]\n[tables.albums]\nkey = 'user_id'\n",
        "[nodes.a]\nadmin_password = 'x'\n[catalog]\npassword = 'y'\n"})
    EXPECT_THAT(fixed_differences(running, config_of(text)), ElementsAre()) << text;
}

TEST(ConfigReload, tells_what_has_changed_without_secrets) {
  const Config before = config_of("[nodes.a]\n[nodes.b]\nport = 2\n");
  const Config after = config_of("[nodes.a]\nport = 7\nadmin_password = 'x'\n[catalog]\npassword = 'y'\n");
  EXPECT_THAT(changed_keys(before, after),
              testing::UnorderedElementsAre("nodes.a.port: 5432 -> 7", "nodes.b: gone",
                                            "nodes.a.admin_password: another", "catalog.password: another"));
  EXPECT_THAT(changed_keys(after, before), testing::Contains("nodes.b: new, at 127.0.0.1:2"));
}

TEST(ConfigReload, a_node_keeps_its_id_whatever_the_order) {
  Config running = config_of("[nodes.a]\n[nodes.b]\nport = 2\n[nodes.c]\nport = 3\n");
  Config next = config_of("[nodes.d]\nport = 4\n[nodes.c]\nport = 33\n[nodes.a]\n");
  ASSERT_TRUE(keep_node_ids(running, next));
  EXPECT_EQ(next.find_node("a")->id.value, 0);
  EXPECT_EQ(next.find_node("c")->id.value, 2);
  EXPECT_EQ(next.find_node("d")->id.value, 3);
  ASSERT_EQ(next.proxy.nodes.size(), 4u);
  EXPECT_EQ(next.proxy.nodes[1].address.name, "b");
  EXPECT_TRUE(next.proxy.nodes[1].is_removed);
  EXPECT_EQ(next.proxy.nodes[2].address.port, 33);
  EXPECT_FALSE(next.proxy.nodes[2].is_removed);
  Config again = config_of("[nodes.b]\nport = 22\n[nodes.a]\n");
  ASSERT_TRUE(keep_node_ids(next, again));
  EXPECT_EQ(again.find_node("b")->id.value, 1);
  EXPECT_EQ(again.proxy.nodes[1].address.port, 22);
  EXPECT_FALSE(again.proxy.nodes[1].is_removed);
  EXPECT_TRUE(again.proxy.nodes[2].is_removed);
  EXPECT_TRUE(again.proxy.nodes[3].is_removed);
}

TEST(ConfigReload, names_of_nodes_have_a_limit) {
  Config running = config_of("[nodes.a]\n");
  running.proxy.nodes.resize(kNodeIdsMax);
  for (size_t i = 1; i < kNodeIdsMax; ++i) running.proxy.nodes[i].address.name = std::to_string(i);
  Config same = config_of("[nodes.a]\n");
  EXPECT_TRUE(keep_node_ids(running, same));
  Config next = config_of("[nodes.a]\n[nodes.b]\nport = 2\n");
  EXPECT_FALSE(keep_node_ids(running, next));
}

}  // namespace
}  // namespace mosaic::admin
