// The budget that workers share: the limit under contention, who starves, what happens to those who have
// left.

#include "pool/connection_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "pool/postgres/server_connection.h"

namespace mosaic::pool {
namespace {

using Taken = ConnectionBudget::Taken;

TEST(ConnectionBudget, is_never_exceeded_by_threads_that_take_and_put_back) {
  constexpr uint32_t kLimit = 3;
  ConnectionBudget budget(kLimit);
  std::atomic<uint32_t> held{0};
  std::atomic<bool> is_exceeded{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        if (budget.try_take() != Taken::kYes) continue;
        if (held.fetch_add(1) + 1 > kLimit) is_exceeded = true;
        held.fetch_sub(1);
        budget.put_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(is_exceeded);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ConnectionBudget, says_when_a_lowered_limit_is_exceeded) {
  ConnectionBudget budget(2);
  EXPECT_EQ(budget.try_take(), Taken::kYes);
  EXPECT_EQ(budget.try_take(), Taken::kYes);
  EXPECT_EQ(budget.try_take(), Taken::kOwnLimit);
  EXPECT_FALSE(budget.is_over_limit());
  budget.set_limit(1);
  EXPECT_TRUE(budget.is_over_limit());
  budget.put_back();
  EXPECT_FALSE(budget.is_over_limit());
  EXPECT_EQ(budget.try_take(), Taken::kOwnLimit);
}

TEST(ConnectionBudget, finds_the_worker_that_has_waited_longest_but_not_the_asking_one) {
  ConnectionBudget budget(1);
  budget.set_starving(3, 500);
  budget.set_starving(1, 400);
  budget.set_starving(2, 300);
  EXPECT_EQ(budget.most_starving(0).worker, 2u);
  EXPECT_EQ(budget.most_starving(2).worker, 1u);
  budget.clear_starving(1);
  budget.clear_starving(2);
  EXPECT_TRUE(budget.others_starve(0));
  EXPECT_FALSE(budget.others_starve(3));
}

TEST(ConnectionBudget, asks_the_others_once_when_a_worker_begins_to_starve) {
  ConnectionBudget budget(1);
  int asked = 0;
  const auto member = [&] {
    ConnectionBudget::Member made;
    made.post = [](const std::function<void()>& message) {
      message();
      return true;
    };
    made.on_others_starve = [&asked] { ++asked; };
    made.adopt = [](const std::unique_ptr<ServerConnection>&) {};
    return made;
  };
  budget.join(0, member());
  budget.join(1, member());
  budget.join(2, member());
  budget.set_starving(1, 100);
  EXPECT_EQ(asked, 2);
  budget.set_starving(1, 50);
  EXPECT_EQ(asked, 2);
  budget.clear_starving(1);
  budget.set_starving(1, 200);
  EXPECT_EQ(asked, 4);
}

TEST(ConnectionBudget, keeps_a_connection_that_nobody_is_there_to_take) {
  EventLoop loop;
  NameValuesTable tables;
  auto server =
      std::make_unique<ServerConnection>(loop, tables, routing::NodeId{0}, NodeAddress{}, "app", "", 1);
  ConnectionBudget budget(1);
  EXPECT_FALSE(budget.offer(5, server));
  EXPECT_NE(server, nullptr);
  ConnectionBudget::Member closed;
  closed.post = [](const std::function<void()>&) { return false; };
  budget.join(5, closed);
  EXPECT_FALSE(budget.offer(5, server));
  EXPECT_NE(server, nullptr);
  budget.leave(5);
}

TEST(ConnectionBudget, has_a_reserve_for_those_who_have_waited_long) {
  ConnectionBudget budget(1);
  budget.set_reserve(1);
  EXPECT_EQ(budget.try_take(), Taken::kYes);
  EXPECT_EQ(budget.try_take(), Taken::kOwnLimit);
  EXPECT_EQ(budget.try_take(budget.reserve()), Taken::kYes);
  EXPECT_EQ(budget.try_take(budget.reserve()), Taken::kOwnLimit);
  EXPECT_TRUE(budget.is_using_reserve());
  EXPECT_FALSE(budget.is_over_limit());
  budget.set_reserve(0);
  EXPECT_TRUE(budget.is_over_limit());
}

TEST(BudgetTable, has_one_budget_for_each_node_and_user) {
  BudgetTable table;
  table.set_limits({.pool_size = 2});
  const auto app = table.find_or_add(routing::NodeId{0}, "app");
  EXPECT_EQ(app->limit(), 2u);
  EXPECT_EQ(table.find_or_add(routing::NodeId{0}, "app"), app);
  EXPECT_NE(table.find_or_add(routing::NodeId{1}, "app"), app);
  EXPECT_NE(table.find_or_add(routing::NodeId{0}, "other"), app);
  table.set_limits({.pool_size = 5, .reserve = 1});
  EXPECT_EQ(app->limit(), 5u);
  EXPECT_EQ(app->reserve(), 1u);
}

TEST(BudgetTable, keeps_all_users_of_a_node_within_its_limit_and_each_user_within_his) {
  BudgetTable table;
  table.set_limits({.pool_size = 5, .node_max = 3, .user_max = 4});
  const routing::NodeId pg1{0}, pg2{1};
  const auto app1 = table.find_or_add(pg1, "app"), app2 = table.find_or_add(pg2, "app"),
             blog1 = table.find_or_add(pg1, "blog");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(app1->try_take(), Taken::kYes);
  EXPECT_EQ(blog1->try_take(), Taken::kYes);
  EXPECT_EQ(blog1->try_take(), Taken::kNodeLimit);
  EXPECT_EQ(blog1->used(), 1u) << "what was refused is not counted";
  for (int i = 0; i < 2; ++i) EXPECT_EQ(app2->try_take(), Taken::kYes);
  EXPECT_EQ(app2->try_take(), Taken::kUserLimit);
  app1->put_back();
  EXPECT_EQ(app2->try_take(), Taken::kYes);
  EXPECT_EQ(blog1->try_take(), Taken::kYes);
  table.set_limits({.pool_size = 5});
  EXPECT_EQ(blog1->try_take(), Taken::kYes) << "0 is no limit";
}

}  // namespace
}  // namespace mosaic::pool
