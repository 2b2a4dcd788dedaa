#include "admin/event_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace mosaic::admin {
namespace {

using pool::Event;
using pool::Severity;

class EventLogTest : public ::testing::Test {
 protected:
  EventLogTest()
      : log_(
            [this](std::string_view line) {
              if (is_taken_) lines_.emplace_back(line);
              return is_taken_;
            },
            [this] { return now_us_; }) {}

  std::vector<std::string> lines_;
  bool is_taken_ = true;
  uint64_t now_us_ = 1'700'000'000'123'456;
  EventLog log_;
};

TEST_F(EventLogTest, writes_one_line_of_names_and_values) {
  log_.record(Event(Severity::kWarning, "query_timeout")
                  .add("client", 7)
                  .add("user", "app")
                  .add("node", "")
                  .add_seconds("waited_s", 1'002'003)
                  .add("statement", "SELECT ?"));
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0],
            fmt::format("2023-11-14 22:13:20.123 UTC warning [{}] event=query_timeout client=7 user=app "
                        "waited_s=1.002 statement=\"SELECT ?\"",
                        getpid()));
}

TEST_F(EventLogTest, one_event_is_one_line_whatever_comes_from_outside) {
  const std::string hostile =
      "a\nb\r\"\\\x1b[31m\x01\x7f\xff\xc2\x85\xe2\x80\xa8" + std::string(1, '\0') + "\tü";
  log_.record(Event(Severity::kInfo, "login_failed").add("user", hostile));
  EXPECT_TRUE(lines_[0].ends_with(R"(user="a\nb\x0d\"\\\x1b[31m\x01\x7f\xff\xc2\x85\xe2\x80\xa8\x00\tü")"))
      << lines_[0];
  EventLogSettings json;
  json.format = EventLogSettings::Format::kJson;
  log_.configure(json);
  log_.record(Event(Severity::kInfo, "login_failed").add("user", hostile));
  for (const std::string& line : lines_) {
    for (const char c : line) EXPECT_TRUE(c < 0 || c >= ' ') << line;
    EXPECT_EQ(line.find("\xe2\x80\xa8"), std::string::npos);
  }
}

TEST_F(EventLogTest, lines_that_are_lost_are_counted_before_the_next_one) {
  is_taken_ = false;
  for (int i = 0; i < 3; ++i) log_.record(Event(Severity::kInfo, "reloaded"));
  log_.tick();
  EXPECT_EQ(log_.kept().size(), 3u) << "SHOW EVENTS has them";
  is_taken_ = true;
  log_.record(Event(Severity::kInfo, "reloaded"));
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_NE(lines_[0].find("event=log_lines_lost count=3 log_buffer=1048576"), std::string::npos)
      << lines_[0];
  EXPECT_NE(lines_[1].find("event=reloaded"), std::string::npos);
  EXPECT_EQ(log_.counts().at("log_lines_lost"), 3u);
  is_taken_ = false;
  log_.record(Event(Severity::kInfo, "reloaded"));
  is_taken_ = true;
  log_.tick();
  EXPECT_EQ(lines_.size(), 3u) << "told though nothing else happens";
}

TEST_F(EventLogTest, json_is_an_object_with_numbers) {
  EventLogSettings json;
  json.format = EventLogSettings::Format::kJson;
  log_.configure(json);
  log_.record(
      Event(Severity::kError, "x").add("n", 12).add_seconds("s", 1'500'000).add("t", "a \"b\"\n\x02"));
  const auto parsed = nlohmann::json::parse(lines_.at(0));
  EXPECT_EQ(parsed["time"], "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(parsed["level"], "error");
  EXPECT_EQ(parsed["event"], "x");
  EXPECT_EQ(parsed["pid"], getpid());
  EXPECT_EQ(parsed["n"], 12);
  EXPECT_EQ(parsed["s"], 1.5);
  EXPECT_EQ(parsed["t"], "a \"b\"\n\x02");
}

TEST_F(EventLogTest, leaves_out_what_is_less_severe) {
  EventLogSettings settings;
  settings.least = Severity::kWarning;
  log_.configure(settings);
  log_.record(Event(Severity::kInfo, "client_connected"));
  log_.record(Event(Severity::kWarning, "client_refused"));
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(log_.kept().size(), 1u);
}

TEST_F(EventLogTest, limits_each_class_and_tells_how_many_were_left_out) {
  EventLogSettings settings;
  settings.rate_limit = 3;
  log_.configure(settings);
  for (int i = 0; i < 10; ++i) log_.record(Event(Severity::kInfo, "often"));
  log_.record(Event(Severity::kInfo, "seldom"));
  EXPECT_EQ(lines_.size(), 4u);
  EXPECT_EQ(log_.counts()["often"], 10u);
  log_.tick();
  EXPECT_EQ(lines_.size(), 4u) << "the second is not over";
  now_us_ += 1'000'000;
  log_.tick();
  ASSERT_EQ(lines_.size(), 5u);
  EXPECT_TRUE(lines_[4].ends_with("event=events_left_out of=often count=7 log_rate_limit=3")) << lines_[4];
  log_.record(Event(Severity::kInfo, "often"));
  EXPECT_EQ(lines_.size(), 6u);
  log_.tick();
  EXPECT_EQ(lines_.size(), 6u) << "told once";
}

TEST_F(EventLogTest, without_a_limit_all_is_written) {
  EventLogSettings settings;
  settings.rate_limit = 0;
  log_.configure(settings);
  for (int i = 0; i < 1000; ++i) log_.record(Event(Severity::kInfo, "often"));
  EXPECT_EQ(lines_.size(), 1000u);
}

TEST_F(EventLogTest, keeps_the_last_events) {
  EventLogSettings settings;
  settings.kept = 3;
  settings.rate_limit = 0;
  log_.configure(settings);
  for (int i = 0; i < 10; ++i) log_.record(Event(Severity::kInfo, "number").add("n", i));
  const auto kept = log_.kept();
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].text, "n=7");
  EXPECT_EQ(kept[2].text, "n=9");
  EXPECT_EQ(kept[2].name, "number");
  EXPECT_EQ(kept[2].unix_us, now_us_);
  settings.kept = 1;
  log_.configure(settings);
  EXPECT_EQ(log_.kept().at(0).text, "n=9");
}

TEST_F(EventLogTest, takes_events_of_many_threads) {
  EventLogSettings settings;
  settings.rate_limit = 0;
  log_.configure(settings);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([this] {
      for (int i = 0; i < 500; ++i) log_.record(Event(Severity::kInfo, "threads").add("n", i));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines_.size(), 2000u);
  EXPECT_EQ(log_.kept().size(), 1000u);
}

}  // namespace
}  // namespace mosaic::admin
