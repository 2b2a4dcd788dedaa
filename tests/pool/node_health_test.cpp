// What is known of a node, and who is chosen by it. Time is passed, never waited for.

#include "pool/node_health.h"

#include <gtest/gtest.h>

#include "pool/node_loads.h"
#include "routing/sqlstate.h"

namespace mosaic::pool {
namespace {

using State = NodeHealth::State;
using Kind = ConnectFailure::Kind;

ConnectFailure failure(Kind kind, const std::string& detail) {
  return {kind, {routing::sqlstate::kNodeDown, "message", detail, "hint"}};
}

class NodeHealthTest : public testing::Test {
 protected:
  uint64_t now_us_ = 1'000'000;
  std::vector<NodeHealth::Change> changes_;
  NodeHealth health_{[this](const NodeHealth::Change& change) { changes_.push_back(change); },
                     [this] { return now_us_; }};
};

TEST_F(NodeHealthTest, is_down_from_the_first_connection_that_is_not_to_be_had_until_one_is) {
  EXPECT_TRUE(health_.is_up());
  health_.on_connect_failed("app", failure(Kind::kUnreachable, "Connection refused"), 10);
  health_.on_connect_failed("app", failure(Kind::kUnreachable, "Connection refused"), 20);
  EXPECT_EQ(health_.state(), State::kDown);
  EXPECT_EQ(health_.failed_ms(), 20u);
  EXPECT_EQ(health_.error().detail, "Connection refused");
  ASSERT_EQ(changes_.size(), 1u) << "told once";
  EXPECT_EQ(changes_[0].error, "Connection refused");
  now_us_ += 5'000'000;
  health_.on_login("app");
  EXPECT_TRUE(health_.is_up());
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_EQ(changes_[1].before, State::kDown);
  EXPECT_EQ(changes_[1].lasted_us, 5'000'000u);
  const auto status = health_.status();
  EXPECT_EQ(status.connect_failures, 2u);
  EXPECT_EQ(status.changes, 2u);
  EXPECT_EQ(status.since_us, now_us_);
  EXPECT_EQ(status.last_error, "Connection refused") << "the latest stays, with its time";
  EXPECT_EQ(status.last_error_us, 1'000'000u);
}

TEST_F(NodeHealthTest, what_old_connections_still_say_does_not_make_a_node_up_that_takes_no_new_ones) {
  health_.on_probe_failed(failure(Kind::kUnreachable, "Connection refused"), 10);
  health_.on_heard(11);
  EXPECT_EQ(health_.state(), State::kDown);
  health_.on_probe_answer(200);
  EXPECT_TRUE(health_.is_up());
  EXPECT_EQ(health_.status().probe_us, 200u);
}

TEST_F(NodeHealthTest, is_slow_when_neither_the_probe_nor_a_server_answers) {
  const routing::Error silence{routing::sqlstate::kNodeDown, "does not answer", "for 3 s", ""};
  health_.on_heard(5'000);
  health_.on_probe_silent(silence, 5'000, 8'000);
  EXPECT_TRUE(health_.is_up()) << "a server has spoken since the probe was sent";
  health_.on_probe_silent(silence, 5'001, 8'001);
  EXPECT_EQ(health_.state(), State::kSlow);
  EXPECT_EQ(health_.error().message, "does not answer");
  health_.on_heard(9'000);
  EXPECT_TRUE(health_.is_up());
  EXPECT_EQ(changes_.size(), 2u);
}

TEST_F(NodeHealthTest, a_node_that_is_down_stays_so_when_it_falls_silent) {
  health_.on_probe_failed(failure(Kind::kUnreachable, "Connection refused"), 10);
  health_.on_probe_silent({routing::sqlstate::kNodeDown, "does not answer", "", ""}, 20, 30);
  EXPECT_EQ(health_.state(), State::kDown);
  EXPECT_EQ(changes_.size(), 1u);
}

TEST_F(NodeHealthTest, remembers_by_user_who_is_refused_and_says_so_once) {
  for (int i = 0; i < 3; ++i) health_.on_connect_failed("app", failure(Kind::kRefused, "wrong password"), 10);
  health_.on_connect_failed("blog", failure(Kind::kFull, "too many clients"), 20);
  EXPECT_TRUE(health_.is_up());
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_EQ(changes_[0].refused_user, "app");
  auto status = health_.status();
  ASSERT_EQ(status.refusals.size(), 2u);
  EXPECT_EQ(status.refusals[0].count, 3u);
  EXPECT_EQ(status.refused_logins, 4u);
  EXPECT_EQ(status.connect_failures, 0u);
  health_.on_login("app");
  health_.on_tick();
  ASSERT_EQ(changes_.size(), 3u);
  EXPECT_EQ(changes_[2].taken_user, "app");
  health_.forget_refusal("blog");
  EXPECT_TRUE(health_.status().refusals.empty());
  EXPECT_EQ(health_.status().refused_logins, 4u) << "counters only grow";
}

TEST_F(NodeHealthTest, keeps_a_limited_number_of_refused_users) {
  for (int i = 0; i < 1'000; ++i)
    health_.on_connect_failed(std::to_string(i), failure(Kind::kRefused, "no such role"), 10);
  EXPECT_EQ(health_.status().refusals.size(), 100u);
  EXPECT_EQ(changes_.size(), 100u);
}

TEST_F(NodeHealthTest, a_refused_user_who_stays_away_is_forgotten) {
  health_.on_connect_failed("app", failure(Kind::kRefused, "wrong password"), 10);
  now_us_ += 599'000'000;
  health_.on_tick();
  EXPECT_EQ(health_.status().refusals.size(), 1u);
  now_us_ += 2'000'000;
  health_.on_tick();
  EXPECT_TRUE(health_.status().refusals.empty());
}

TEST_F(NodeHealthTest, a_full_node_does_not_flap) {
  for (int i = 0; i < 20; ++i) {
    health_.on_connect_failed("app", failure(Kind::kFull, "too many clients"), 10);
    health_.on_login("app");
    health_.on_tick();
    now_us_ += 500'000;
  }
  EXPECT_EQ(changes_.size(), 1u);
  EXPECT_EQ(health_.status().refusals.at(0).count, 20u);
  now_us_ += 5'000'000;
  health_.on_tick();
  EXPECT_EQ(changes_.size(), 2u);
  EXPECT_TRUE(health_.status().refusals.empty());
}

TEST(NodeLoads, choose_the_least_busy_node_that_is_up_and_the_near_one_among_equals) {
  NodeHealths healths;
  for (int i = 0; i < 3; ++i)
    healths.push_back(std::make_shared<NodeHealth>(nullptr, [] { return uint64_t{1}; }));
  const routing::NodeId pg1{0}, pg2{1}, pg3{2};
  NodeLoads loads;
  EXPECT_EQ(loads.choose(pg2), pg2) << "nothing is known of nodes";
  loads.set_nodes(healths);
  EXPECT_EQ(loads.choose(pg2), pg2) << "none is in use yet";
  for (const routing::NodeId node : {pg1, pg2, pg3}) loads.set_in_use(node, true);
  EXPECT_EQ(loads.choose(pg3), pg3);
  loads.begin(pg3);
  EXPECT_EQ(loads.choose(pg3), pg1);
  loads.begin(pg1);
  EXPECT_EQ(loads.choose(pg3), pg2);
  loads.begin(pg2);
  EXPECT_EQ(loads.choose(pg3), pg3);
  loads.end(pg1);
  healths[0]->on_probe_failed(failure(Kind::kUnreachable, ""), 1);
  EXPECT_EQ(loads.choose(pg3), pg3);
  EXPECT_EQ(loads.choose(pg1), pg2) << "the near one is down";
  EXPECT_EQ(loads.prefer(pg1), pg2);
  EXPECT_EQ(loads.prefer(pg3), pg3) << "however busy";
  healths[1]->on_probe_failed(failure(Kind::kUnreachable, ""), 1);
  healths[2]->on_probe_failed(failure(Kind::kUnreachable, ""), 1);
  EXPECT_EQ(loads.choose(pg3), pg3) << "none is up";
}

TEST(NodeLoads, a_node_that_is_not_in_use_is_not_chosen) {
  NodeHealths healths;
  for (int i = 0; i < 2; ++i)
    healths.push_back(std::make_shared<NodeHealth>(nullptr, [] { return uint64_t{1}; }));
  const routing::NodeId pg1{0}, pg2{1}, pg3{2};
  NodeLoads loads;
  loads.set_nodes(healths);
  loads.set_in_use(pg1, true);
  loads.begin(pg1);
  EXPECT_EQ(loads.choose(pg1), pg1);
  EXPECT_EQ(loads.prefer(pg2), pg1);
  loads.set_in_use(pg2, true);
  EXPECT_EQ(loads.choose(pg1), pg2);
  healths.push_back(std::make_shared<NodeHealth>(nullptr, [] { return uint64_t{1}; }));
  loads.begin(pg2);
  loads.set_nodes(healths);
  EXPECT_EQ(loads.choose(pg1), pg1) << "what was counted stays, and a node that comes is not in use";
  loads.set_in_use(pg3, true);
  EXPECT_EQ(loads.choose(pg1), pg3);
}

}  // namespace
}  // namespace mosaic::pool
