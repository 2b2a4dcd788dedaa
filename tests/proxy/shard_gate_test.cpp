#include "proxy/shard_gate.h"

#include <gtest/gtest.h>

#include "tests/routing/sample_catalog.h"

namespace mosaic::proxy {
namespace {

using routing::ShardId;

struct WaitingClient final : ShardGate::Client {
  void on_gate_open() override { ++opened; }
  void on_gate_failed(const routing::Error& error) override { failure = error.sqlstate; }
  int opened = 0;
  std::string failure;
};

class ShardGateTest : public testing::Test {
 protected:
  LeaseRequest request(uint32_t shard, bool is_read = false, uint64_t refused_at = 0) const {
    LeaseRequest request;
    request.shard = ShardId{shard};
    request.is_read = is_read;
    request.refused_at.value = refused_at;
    return request;
  }
  void set_place(uint32_t shard, uint64_t epoch, bool is_held) {
    catalog = catalog->with_places({{ShardId{shard}, {{0}, {epoch}, is_held}}});
  }

  std::shared_ptr<const routing::CatalogSnapshot> catalog =
      std::make_shared<const routing::CatalogSnapshot>(routing::testing::sample_parts());
  MovingCountsByShard counts;
  ShardGate gate{counts};
  ShardGate::Limits limits{2, 1000};
};

TEST_F(ShardGateTest, holds_what_may_write_to_a_held_shard) {
  set_place(3, 10, true);
  EXPECT_TRUE(ShardGate::must_wait(request(3), *catalog));
  EXPECT_FALSE(ShardGate::must_wait(request(3, true), *catalog));
  EXPECT_FALSE(ShardGate::must_wait(request(4), *catalog));
  EXPECT_FALSE(ShardGate::must_wait(LeaseRequest{}, *catalog));
}

TEST_F(ShardGateTest, holds_what_was_refused_until_the_map_is_newer) {
  set_place(3, 10, false);
  EXPECT_TRUE(ShardGate::must_wait(request(3, true, 10), *catalog));
  EXPECT_FALSE(ShardGate::must_wait(request(3, true, 9), *catalog));
}

TEST_F(ShardGateTest, lets_go_by_a_new_map) {
  set_place(3, 10, true);
  WaitingClient a, b;
  EXPECT_FALSE(gate.wait(a, request(3), limits, 0));
  EXPECT_FALSE(gate.wait(b, request(3), limits, 0));
  gate.on_map(*catalog, 5);
  EXPECT_EQ(a.opened, 0);
  set_place(3, 11, false);
  gate.leave(b);
  gate.on_map(*catalog, 20);
  EXPECT_EQ(a.opened, 1);
  EXPECT_EQ(b.opened, 0);
  EXPECT_FALSE(a.is_at_gate());
  EXPECT_EQ(counts[3].longest_us, 20'000u);
  EXPECT_EQ(counts[3].held, 2u);
}

TEST_F(ShardGateTest, tells_the_longest_wait_of_those_that_waited_last) {
  WaitingClient client;
  uint64_t now_ms = 0;
  for (const uint64_t wait_ms : {90, 20}) {
    set_place(3, 10 + now_ms, true);
    const MovingCounts before = counts[3];
    gate.wait(client, request(3), limits, now_ms);
    now_ms += wait_ms;
    set_place(3, 10 + now_ms, false);
    gate.on_map(*catalog, now_ms);
    EXPECT_EQ((counts[3] - before).longest_us, wait_ms * 1000);
  }
  EXPECT_EQ((counts[3] - counts[3]).longest_us, 0u);
}

TEST_F(ShardGateTest, has_room_for_so_many) {
  set_place(3, 10, true);
  WaitingClient a, b, c;
  EXPECT_FALSE(gate.wait(a, request(3), limits, 0));
  EXPECT_FALSE(gate.wait(b, request(3), limits, 0));
  const auto error = gate.wait(c, request(3), limits, 0);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->sqlstate, "53300");
  EXPECT_EQ(gate.clients_by_shard().at(3), 2u);
}

TEST_F(ShardGateTest, asks_a_node_again_that_has_refused_and_does_not_wait_for_ever) {
  set_place(3, 10, false);
  set_place(4, 10, true);
  WaitingClient refused, held;
  gate.wait(refused, request(3, false, 10), limits, 0);
  gate.wait(held, request(4), limits, 0);
  gate.on_tick(*catalog, limits, 20);
  EXPECT_EQ(refused.opened, 0);
  gate.on_tick(*catalog, limits, 60);
  EXPECT_EQ(refused.opened, 1);
  EXPECT_EQ(held.opened, 0);
  gate.on_tick(*catalog, limits, 1001);
  EXPECT_EQ(held.failure, "MZ021");
  EXPECT_EQ(counts[4].refused, 1u);
}

// What is refused over and over waits no longer in all than what waits once.
TEST_F(ShardGateTest, counts_the_time_from_the_first_refusal) {
  set_place(3, 10, false);
  WaitingClient client;
  LeaseRequest refused = request(3, false, 10);
  uint64_t now_ms = 0;
  for (refused.refusals = 1; client.failure.empty() && refused.refusals < 100; ++refused.refusals) {
    gate.wait(client, refused, limits, now_ms);
    for (; client.is_at_gate(); now_ms += 10) gate.on_tick(*catalog, limits, now_ms);
  }
  EXPECT_EQ(client.failure, "MZ021");
  EXPECT_LE(now_ms, 1100u);
  EXPECT_EQ(counts[3].held, 1u);
  EXPECT_EQ(counts[3].refused, 1u);
}

}  // namespace
}  // namespace mosaic::proxy
