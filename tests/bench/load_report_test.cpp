#include "bench/load/load_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mosaic::workload {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

StageProgress progress(double seconds, uint64_t due, uint64_t operations,
                       std::vector<uint64_t> latencies_ms) {
  StageProgress stage;
  stage.seconds = seconds;
  stage.due = due;
  stage.operations = operations;
  stage.backlog = due - operations;
  stage.take_recent = [latencies_ms = std::move(latencies_ms)] {
    LatencyHistogram histogram;
    for (const uint64_t latency : latencies_ms) histogram.record(latency * kMillisecond);
    return histogram;
  };
  return stage;
}

TEST(IntervalSeries, makes_a_row_of_each_interval_and_of_the_rest) {
  IntervalSeries series(1);
  EXPECT_FALSE(series.add(progress(0.4, 4, 4, {})));
  EXPECT_TRUE(series.add(progress(1.1, 11, 10, {1, 1, 1, 9})));
  EXPECT_FALSE(series.add(progress(2.0, 20, 12, {})));
  StageProgress last = progress(2.05, 21, 13, {50});
  last.is_over = true;
  EXPECT_TRUE(series.add(last));
  ASSERT_EQ(series.rows().size(), 2u);
  const Interval &first = series.rows()[0], &rest = series.rows()[1];
  EXPECT_DOUBLE_EQ(first.seconds, 1.1);
  EXPECT_EQ(first.due, 11u);
  EXPECT_EQ(first.completed, 4u);
  EXPECT_EQ(first.backlog, 1u);
  EXPECT_EQ(first.max_ns, 9 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(first.p50_ns), 1e6, 1e4);
  EXPECT_DOUBLE_EQ(rest.begin_s, 1.1);
  EXPECT_EQ(rest.due, 10u);
  EXPECT_EQ(rest.backlog, 8u);
}

TEST(IntervalSeries, tells_a_row_on_its_own_with_its_latencies) {
  IntervalSeries series(1);
  StageProgress stage = progress(1.5, 4, 4, {1, 1, 9});
  stage.wrong_answers = 2;
  ASSERT_TRUE(series.add(stage));
  const std::string line = to_json_line(series.rows().back(), series.last_latency(), 77.25);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["end_s"], 77.25);
  EXPECT_EQ(json["wrong_answers"], 2);
  ASSERT_EQ(json["buckets_ns"].size(), 2u);
  EXPECT_NEAR(json["buckets_ns"][0][0].get<double>(), 1e6, 1e4);
  EXPECT_EQ(json["buckets_ns"][0][1], 2);
  EXPECT_EQ(json["buckets_ns"][1][1], 1);
  // The next row's are its own.
  ASSERT_TRUE(series.add(progress(3, 5, 5, {4})));
  EXPECT_EQ(series.last_latency().count(), 1u);
}

struct LoadReport : ::testing::Test {
  LoadReport() {
    options.rate = 1000;
    options.connections = 8;
    figures.seconds = 10;
    figures.due = 10'000;
  }
  void complete(int count) {
    for (int i = 0; i < count; ++i)
      figures.statistics.count_operation(OperationKind::kReadProfile, 2 * kMillisecond);
  }
  void leave(int count) {
    for (int i = 0; i < count; ++i) figures.unserved_wait.record(500 * kMillisecond);
  }
  LoadOptions options;
  LoadFigures figures;
};

TEST_F(LoadReport, says_when_the_target_did_not_keep_up) {
  complete(8'000);
  leave(2'000);
  EXPECT_FALSE(has_kept_up(options, figures));
  EXPECT_NE(to_text(options, figures).find("THE TARGET DID NOT KEEP UP: 2000 of 10000"), std::string::npos);
  const auto json = nlohmann::json::parse(to_json(options, figures));
  EXPECT_EQ(json["rate"]["kept_up"], false);
  EXPECT_EQ(json["rate"]["unserved"], 2'000);
  EXPECT_DOUBLE_EQ(json["rate"]["achieved"], 800);
  // What never began counts: at least as slow as it had waited.
  EXPECT_EQ(json["latency"]["count"], 10'000);
  EXPECT_NEAR(json["latency"]["p50_ms"].get<double>(), 2, 0.02);
  EXPECT_GE(json["latency"]["p90_ms"].get<double>(), 500);
}

TEST_F(LoadReport, allows_what_the_last_moment_leaves) {
  complete(9'950);
  leave(50);
  EXPECT_TRUE(has_kept_up(options, figures));
  leave(51);
  EXPECT_FALSE(has_kept_up(options, figures));
  // Few operations, many clients: as many as the clients hold is no backlog.
  options.connections = 200;
  EXPECT_TRUE(has_kept_up(options, figures));
}

TEST_F(LoadReport, tells_all_percentiles_and_the_mix) {
  complete(10'000);
  options.mix = OperationMix::parse("read_profile=3,upload=1");
  const auto json = nlohmann::json::parse(to_json(options, figures));
  for (const char* key : {"p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "p99.99_ms", "max_ms"}) {
    EXPECT_NEAR(json["latency"][key].get<double>(), 2, 0.02) << key;
    EXPECT_NEAR(json["operations"]["read_profile"][key].get<double>(), 2, 0.02) << key;
  }
  EXPECT_EQ(json["mix"], nlohmann::json({{"read_profile", 3}, {"upload", 1}}));
  EXPECT_TRUE(find_failures(figures).empty());
}

TEST_F(LoadReport, fails_on_errors_and_on_silence) {
  EXPECT_EQ(find_failures(figures), std::vector<std::string>{"no operation was completed"});
  complete(1);
  figures.statistics.count_failure("MZ010", "no shard key");
  EXPECT_EQ(find_failures(figures), std::vector<std::string>{"1 x MZ010: no shard key"});
}

int exit_code_of(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "photo_load");
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const ParsedLoadOptions parsed = parse_load_options(static_cast<int>(arguments.size()), arguments.data());
  ::testing::internal::GetCapturedStderr();
  ::testing::internal::GetCapturedStdout();
  return parsed.is_ok ? -1 : parsed.exit_code;
}

TEST(LoadOptions, are_checked) {
  EXPECT_EQ(exit_code_of({"--rate", "100"}), -1);
  EXPECT_EQ(exit_code_of({"--rate", "100", "--mix", "upload=1", "--arrivals", "fixed"}), -1);
  EXPECT_EQ(exit_code_of({"--rate", "50", "--rate", "100"}), -1);  // the last one counts
  EXPECT_EQ(exit_code_of({"--help"}), 0);
  EXPECT_EQ(exit_code_of({}), 2);
  EXPECT_EQ(exit_code_of({"--rate", "0"}), 2);
  EXPECT_EQ(exit_code_of({"--rate", "100", "--mix", "uplaod=1"}), 2);
  EXPECT_EQ(exit_code_of({"--rate", "100", "--arrivals", "sometimes"}), 2);
  EXPECT_EQ(exit_code_of({"--rate", "100", "--mode", "binary"}), 2);
  EXPECT_EQ(exit_code_of({"--rate", "100", "--duration", "1000000", "--interval", "1"}), 2);
}

}  // namespace
}  // namespace mosaic::workload
