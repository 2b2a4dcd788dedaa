// The loop's own promises: order of messages, what happens after the end, work off the loop.

#include "pool/event_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/pool/loop_harness.h"

namespace mosaic::pool {
namespace {

TEST(EventLoop, runs_messages_of_another_thread_in_order_on_its_own) {
  EventLoop loop;
  Mailbox mailbox(loop);
  std::vector<int> got;
  const auto loop_thread = std::this_thread::get_id();
  bool is_elsewhere = false;
  std::thread sender([&] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_TRUE(mailbox.post([&, i] {
        got.push_back(i);
        is_elsewhere = is_elsewhere || std::this_thread::get_id() != loop_thread;
      }));
    }
  });
  run_until(
      loop, [&] { return got.size() == 1000; }, "all messages");
  sender.join();
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
  EXPECT_FALSE(is_elsewhere);
}

TEST(EventLoop, refuses_messages_for_a_closed_mailbox_and_drops_those_that_wait) {
  EventLoop loop;
  Mailbox mailbox(loop);
  bool is_run = false;
  EXPECT_TRUE(mailbox.post([&] { is_run = true; }));
  mailbox.close();
  EXPECT_FALSE(mailbox.post([&] { is_run = true; }));
  bool has_turned = false;
  loop.defer([&] { has_turned = true; });
  run_until(
      loop, [&] { return has_turned; }, "a turn");
  EXPECT_FALSE(is_run);
}

TEST(EventLoop, defers_to_the_end_of_the_turn_in_order_also_from_a_deferred_action) {
  EventLoop loop;
  std::vector<int> order;
  loop.defer([&] {
    order.push_back(1);
    loop.defer([&] { order.push_back(3); });
  });
  loop.defer([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty()) << "never from inside the call";
  run_until(
      loop, [&] { return order.size() == 3; }, "all three");
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, looks_names_up_or_says_why_not) {
  EventLoop loop;
  NameLookups::Answer answer;
  const auto take = [&](const NameLookups::Answer& found) { answer = found; };
  loop.resolve("localhost", take);
  run_until(
      loop, [&] { return !answer.addresses.empty(); }, "an address");
  for (const std::string& address : answer.addresses)
    EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
  loop.resolve("no-such-host.invalid", take);
  run_until(
      loop, [&] { return !answer.error.empty(); }, "a reason");
  EXPECT_TRUE(answer.addresses.empty());
}

TEST(EventLoop, may_destroy_a_ticker_in_its_own_callback) {
  EventLoop loop;
  std::unique_ptr<Ticker> ticker;
  int ticks = 0;
  ticker = std::make_unique<Ticker>(loop, 1, [&] {
    ++ticks;
    loop.defer([&] { ticker.reset(); });
  });
  run_until(
      loop, [&] { return ticker == nullptr; }, "the ticker to go");
  EXPECT_GE(ticks, 1);
}

}  // namespace
}  // namespace mosaic::pool
