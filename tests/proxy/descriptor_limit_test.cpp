// Whom file descriptors are for.

#include "proxy/descriptor_limit.h"

#include <gtest/gtest.h>

namespace mosaic::proxy {
namespace {

ProxySettings settings_of(uint32_t clients, uint32_t pool_size, size_t nodes) {
  ProxySettings settings;
  settings.max_client_conn = clients;
  settings.pool.default_pool_size = pool_size;
  settings.nodes.resize(nodes);
  return settings;
}

TEST(DescriptorPlan, leaves_max_client_conn_alone_where_all_fit) {
  const DescriptorPlan plan = plan_descriptors(20'000, settings_of(10'000, 20, 3), 2);
  EXPECT_TRUE(plan.is_for_everybody);
  EXPECT_EQ(plan.clients, 10'000u);
  EXPECT_GE(plan.connections, 11'250u);
  EXPECT_EQ(plan.kept + plan.connections, plan.limit);
}

TEST(DescriptorPlan, keeps_descriptors_for_servers_and_turns_clients_away_before_they_are_used_up) {
  const DescriptorPlan plan = plan_descriptors(256, settings_of(1'000, 20, 3), 2);
  EXPECT_FALSE(plan.is_for_everybody);
  EXPECT_GE(plan.kept, 60u + 2 * 8 + 3 * 4);
  EXPECT_LT(plan.clients, plan.connections) << "those who are refused need one as well";
  EXPECT_LE(plan.kept + plan.connections, 256u);
  EXPECT_GE(plan.clients, 64u);
}

TEST(DescriptorPlan, shares_what_there_is_when_there_is_nearly_nothing) {
  const DescriptorPlan plan = plan_descriptors(64, settings_of(1'000, 200, 10), 4);
  EXPECT_EQ(plan.kept, 32u);
  EXPECT_EQ(plan.connections, 32u);
  EXPECT_EQ(plan.clients, 24u);
  EXPECT_GE(plan_descriptors(4, settings_of(1'000, 200, 10), 4).clients, 1u);
}

}  // namespace
}  // namespace mosaic::proxy
