// Look-ups that hang, as with a name server that is silent: whoever does not ask for that very name notices
// nothing.

#include "pool/name_lookups.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "pool/event_loop.h"
#include "tests/pool/loop_harness.h"

namespace mosaic::pool {
namespace {

// A resolver whose answer for a name that begins with "slow" comes when it is released.
class SlowResolver {
 public:
  NameLookups::Answer look(const std::string& host) {
    std::unique_lock lock(mutex_);
    ++looks_[host];
    changed_.notify_all();
    if (host.starts_with("slow")) changed_.wait(lock, [this] { return is_released_; });
    ++ended_;
    changed_.notify_all();
    return {{"192.0.2.1"}, ""};
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_released_ = true;
    changed_.notify_all();
  }
  void wait_for_ends(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= count; });
  }
  int looks(const std::string& host) {
    const std::lock_guard lock(mutex_);
    return looks_[host];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> looks_;
  int ended_ = 0;
  bool is_released_ = false;
};

struct Fixture {
  std::shared_ptr<SlowResolver> resolver = std::make_shared<SlowResolver>();
  NameLookups names{[resolver = resolver](const std::string& host) { return resolver->look(host); }};
};

TEST(NameLookups, a_name_that_hangs_holds_up_no_other) {
  Fixture f;
  EventLoop loop(f.names);
  int slow = 0, quick = 0;
  // Far more than a pool of threads would have.
  for (int i = 0; i < 40; ++i) loop.resolve("slow" + std::to_string(i), [&](const auto&) { ++slow; });
  for (int i = 0; i < 40; ++i) loop.resolve("quick" + std::to_string(i), [&](const auto&) { ++quick; });
  run_until(
      loop, [&] { return quick == 40; }, "the others");
  EXPECT_EQ(slow, 0);
  f.resolver->release();
  run_until(
      loop, [&] { return slow == 40; }, "those that hung");
}

TEST(NameLookups, whoever_asks_for_the_same_name_waits_for_the_same_answer) {
  Fixture f;
  EventLoop one(f.names), other(f.names);
  int answers = 0;
  for (int i = 0; i < 500; ++i)
    (i % 2 ? one : other).resolve("slow", [&](const NameLookups::Answer& answer) {
      EXPECT_EQ(answer.addresses, std::vector<std::string>{"192.0.2.1"});
      ++answers;
    });
  f.resolver->release();
  run_until(
      one, [&] { return answers == 250; }, "one loop's answers");
  run_until(
      other, [&] { return answers == 500; }, "the other's");
  EXPECT_EQ(f.resolver->looks("slow"), 1);
  one.resolve("slow", [&](const auto&) { ++answers; });
  run_until(
      one, [&] { return answers == 501; }, "a later one");
  EXPECT_EQ(f.resolver->looks("slow"), 2) << "an answer is not kept: the address may change";
}

TEST(NameLookups, a_name_that_hangs_does_not_hold_up_the_loops_end) {
  Fixture f;
  bool is_answered = false;
  {
    EventLoop loop(f.names);
    loop.resolve("slow", [&](const auto&) { is_answered = true; });
    bool is_quick = false;
    loop.resolve("quick", [&](const auto&) { is_quick = true; });
    run_until(
        loop, [&] { return is_quick; }, "the other");
  }
  f.resolver->release();
  f.resolver->wait_for_ends(2);
  EXPECT_FALSE(is_answered);
}

TEST(NameLookups, answers_never_come_from_inside_the_question) {
  Fixture f;
  EventLoop loop(f.names);
  bool is_answered = false;
  loop.resolve("quick", [&](const auto&) { is_answered = true; });
  f.resolver->wait_for_ends(1);
  EXPECT_FALSE(is_answered);
  run_until(
      loop, [&] { return is_answered; }, "the answer");
}

}  // namespace
}  // namespace mosaic::pool
