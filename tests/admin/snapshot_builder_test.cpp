// Config and catalog must agree before anything is routed by them.
#include "admin/catalog/snapshot_builder.h"

#include <gtest/gtest.h>

#include "admin/config/config_loader.h"

namespace mosaic::admin {
namespace {

Config config_of(const std::string& more = "") {
  ConfigLoad load = parse_config(
      "[database]\nname = 'app'\n[nodes.b]\n[nodes.a]\nport = 2\n[tables.media]\nkey = 'user_id'\nid = 'id'\n"
      "[tables.plans]\nnode = 'a'\n[tables.countries]\nreference = true\n" +
          (more.empty() ? "[shards]\ncount = 4\n" : more),
      "x.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("x.toml");
  return load.config;
}

CatalogState state_of(const Config& config) {
  CatalogState state;
  state.cluster_id = "c";
  state.layout = layout_of(config);
  state.epoch = 5;
  state.is_complete = true;
  state.tables = declared_tables(config);
  state.tables[0].columns = {{"id", 20}, {"user_id", 20}};
  state.shard_nodes = {"a", "b", "a", "b"};
  state.nodes = {"a", "b"};
  return state;
}

TEST(SnapshotBuilder, numbers_nodes_in_the_order_of_the_config) {
  const Config config = config_of();
  const auto snapshot = build_snapshot(state_of(config), config);
  ASSERT_TRUE(snapshot) << snapshot.error().to_line();
  const routing::CatalogSnapshot& catalog = **snapshot;
  EXPECT_EQ(catalog.epoch().value, 5u);
  EXPECT_EQ(catalog.node_names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(catalog.node_name(catalog.node_of({0})), "a");
  EXPECT_EQ(catalog.node_name(catalog.node_of({1})), "b");
  EXPECT_EQ(catalog.node_name(catalog.default_node()), "b");
  const auto& plans = catalog.tables()[static_cast<size_t>(catalog.find_table("plans"))];
  EXPECT_EQ(catalog.node_name(plans.node), "a");
  EXPECT_EQ(catalog.tables()[static_cast<size_t>(catalog.find_table("media"))].find_column("user_id"), 1);
}

TEST(SnapshotBuilder, a_node_that_is_not_prepared_or_has_been_removed_is_not_in_use) {
  Config config = config_of("[nodes.c]\nport = 3\n[shards]\ncount = 4\n");
  CatalogState state = state_of(config);
  auto snapshot = build_snapshot(state, config);
  ASSERT_TRUE(snapshot) << snapshot.error().to_line();
  EXPECT_EQ((*snapshot)->count_nodes_in_use(), 2u);
  EXPECT_FALSE((*snapshot)->is_in_use({2}));
  ASSERT_EQ(describe_unused_nodes(state, config).size(), 1u);
  state.nodes = {"a", "b", "c"};
  snapshot = build_snapshot(state, config);
  EXPECT_EQ((*snapshot)->count_nodes_in_use(), 3u);
  EXPECT_TRUE(describe_unused_nodes(state, config).empty());
  config.nodes.erase(config.nodes.begin() + 2);
  config.proxy.nodes[2].is_removed = true;
  snapshot = build_snapshot(state, config);
  ASSERT_TRUE(snapshot) << snapshot.error().to_line();
  EXPECT_EQ((*snapshot)->node_count(), 3);
  EXPECT_EQ((*snapshot)->next_node_in_use({0}), routing::NodeId{0});
  EXPECT_EQ((*snapshot)->next_node_in_use({2}), std::nullopt);
}

TEST(SnapshotBuilder, names_every_difference) {
  CatalogState state = state_of(config_of());
  state.layout.shard_count = 8;
  state.layout.shard_function = "modulo";
  state.tables[0].key = "owner_id";
  state.tables[1].name = "tariffs";
  const auto snapshot = build_snapshot(state, config_of());
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().detail,
            "shards.count: the catalog says 8, the config 4; shards.function: the catalog says modulo, the "
            "config xxh3; "
            "tables.media: the catalog says key = \"owner_id\", id = \"id\", the config key = \"user_id\", "
            "id = \"id\"");
}

TEST(SnapshotBuilder, takes_tables_that_only_one_side_knows) {
  CatalogState state = state_of(config_of());
  state.tables[1].name = "tariffs";
  const auto snapshot = build_snapshot(state, config_of());
  ASSERT_TRUE(snapshot) << snapshot.error().to_line();
  EXPECT_GE((*snapshot)->find_table("tariffs"), 0);
  EXPECT_LT((*snapshot)->find_table("plans"), 0);
  EXPECT_EQ(unmade_tables(state, config_of()), std::vector<std::string>{"plans"});
  EXPECT_EQ(unlisted_tables(state, config_of()), std::vector<std::string>{"tariffs"});
}

TEST(SnapshotBuilder, refuses_a_table_on_an_unknown_node) {
  CatalogState state = state_of(config_of());
  state.tables[1].name = "tariffs";
  state.tables[1].node = "gone";
  const auto snapshot = build_snapshot(state, config_of());
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().detail, "node \"gone\" has table tariffs");
}

TEST(SnapshotBuilder, refuses_an_unfinished_init) {
  CatalogState state = state_of(config_of());
  state.is_complete = false;
  ASSERT_FALSE(build_snapshot(state, config_of()));
}

TEST(SnapshotBuilder, refuses_shards_on_unknown_nodes) {
  CatalogState state = state_of(config_of());
  state.shard_nodes[2] = "gone";
  const auto snapshot = build_snapshot(state, config_of());
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().detail, "node \"gone\" has 1 shard");
}

TEST(SnapshotBuilder, refuses_a_map_with_too_few_shards) {
  CatalogState state = state_of(config_of());
  state.shard_nodes.pop_back();
  ASSERT_FALSE(build_snapshot(state, config_of()));
}

}  // namespace
}  // namespace mosaic::admin
