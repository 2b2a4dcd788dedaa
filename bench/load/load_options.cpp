#include "bench/load/load_options.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/workload/options.h"

namespace mosaic::workload {

namespace {

constexpr int kUsageExitCode = 2;
constexpr double kIntervalsMax = 100'000;  // rows of the time series

ArrivalPattern parse_pattern(const std::string& text) {
  for (const ArrivalPattern pattern : {ArrivalPattern::kPoisson, ArrivalPattern::kFixed}) {
    if (to_text(pattern) == text) return pattern;
  }
  throw CLI::ValidationError("--arrivals", "expected poisson or fixed, got '" + text + "'");
}

void add_load(CLI::App& app, LoadOptions& options) {
  app.add_option("--rate", options.rate, "operations per second over all clients")
      ->required()
      ->check(CLI::Range(0.01, 10'000'000.0));
  app.add_option("--warm-up", options.warm_up_s, "seconds at the same rate that are not counted")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("-T,--duration", options.duration_s, "seconds that are counted")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--interval", options.interval_s, "seconds per row of the JSON's time series; at least 0.2")
      ->capture_default_str()
      ->check(CLI::Range(0.2, 86'400.0));
  app.add_option("-c,--connections", options.connections, "clients, each with one connection")
      ->capture_default_str()
      ->check(CLI::Range(1u, 100'000u));
  app.add_option("-j,--threads", options.threads, "threads that drive them")
      ->capture_default_str()
      ->check(CLI::Range(1u, 256u));
}

void add_content(CLI::App& app, LoadOptions& options) {
  app.add_option("--users", options.users, "users that sign up before the run")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}));
  app.add_option("--first-user", options.first_user, "ID of the first of them")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 60));
  app.add_option("--photos", options.photos_per_user, "photos that each of them uploads before the run")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1000u));
  app.add_option("--zipf", options.zipf, "skew of the users' popularity; 0: all alike")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0));
  app.add_option("--seed", options.seed, "of the random choices and arrivals")->capture_default_str();
}

}  // namespace

ParsedLoadOptions parse_load_options(int count, const char* const* arguments) {
  ParsedLoadOptions parsed;
  LoadOptions& options = parsed.options;
  std::string mode(to_text(options.mode)), arrivals(to_text(options.arrivals)), mix;
  CLI::App app(
      "Open-loop load: a photo-sharing application's operations, begun when they are due whether the target "
      "keeps "
      "up or not; latencies count from when they were due. Exit codes: 0 done, 1 errors or wrong answers, 2 "
      "usage, "
      "3 the target did not keep up.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_config("--config", "",
                 "read options from a TOML file: rate = 2000, mix = \"read_profile=9,upload=1\"");
  app.add_option("--conninfo", options.conninfo, "where the application connects (libpq)")
      ->capture_default_str();
  app.add_flag("--unsharded", options.is_unsharded,
               "the target is one PostgreSQL, or a pooler before it (bench/load/plain_database.sql)");
  app.add_option("--label", options.label, "a name for the run, kept in the JSON");
  add_load(app, options);
  app.add_option("--arrivals", arrivals, "poisson (independent users) or fixed (equal distances)")
      ->capture_default_str();
  app.add_option("-M,--mode", mode, "simple, extended or prepared")->capture_default_str();
  app.add_option("--mix", mix,
                 "operations and their parts, as read_profile=50,upload=5 (default: the application's)");
  add_content(app, options);
  app.add_option("--statement-timeout", options.statement_timeout_s,
                 "seconds without an answer: counts as lost")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--json", options.json_file, "write the figures to this file");
  app.add_option("--series", options.series_file,
                 "write each interval to this file when it is over, as a line of JSON with its latencies");
  try {
    app.parse(count, arguments);
    options.mode = parse_mode(mode);
    options.arrivals = parse_pattern(arrivals);
    if (!mix.empty()) options.mix = OperationMix::parse(mix);
    if (options.duration_s / options.interval_s > kIntervalsMax) {
      throw CLI::ValidationError("--interval", "too short for the duration: more than 100000 rows");
    }
    options.threads = std::min(options.threads, options.connections);
    parsed.is_ok = true;
  } catch (const CLI::Error& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : kUsageExitCode;
  } catch (const std::runtime_error& error) {
    std::cerr << error.what() << "\n";
    parsed.exit_code = kUsageExitCode;
  }
  return parsed;
}

}  // namespace mosaic::workload
