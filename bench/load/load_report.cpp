#include "bench/load/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mosaic::workload {

namespace {

constexpr double kUnservedShareMax = 0.01;

struct Percentile {
  const char* name;
  double percent;
};
constexpr Percentile kPercentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};

double to_ms(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

nlohmann::json latency_json(const LatencyHistogram& latency) {
  nlohmann::json json{{"count", latency.count()}, {"mean_ms", latency.mean_ns() / 1e6}};
  for (const Percentile& percentile : kPercentiles) {
    json[std::string(percentile.name) + "_ms"] = to_ms(latency.percentile_ns(percentile.percent));
  }
  json["max_ms"] = to_ms(latency.max_ns());
  return json;
}

std::string latency_row(std::string_view name, const LatencyHistogram& latency) {
  std::string row = fmt::format("{:<16} {:>10}", name, latency.count());
  for (const Percentile& percentile : kPercentiles) {
    row += fmt::format(" {:>9.2f}", to_ms(latency.percentile_ns(percentile.percent)));
  }
  return row + fmt::format(" {:>9.2f}\n", to_ms(latency.max_ns()));
}

nlohmann::json interval_json(const Interval& interval) {
  return {{"begin_s", interval.begin_s},
          {"seconds", interval.seconds},
          {"due", interval.due},
          {"completed", interval.completed},
          {"errors", interval.errors},
          {"lost", interval.lost},
          {"wrong_answers", interval.wrong_answers},
          {"backlog", interval.backlog},
          {"p50_ms", to_ms(interval.p50_ns)},
          {"p99_ms", to_ms(interval.p99_ns)},
          {"max_ms", to_ms(interval.max_ns)}};
}

nlohmann::json settings_json(const LoadOptions& options) {
  nlohmann::json json{{"label", options.label},
                      {"target", options.is_unsharded ? "unsharded" : "sharded"},
                      {"mode", to_text(options.mode)},
                      {"arrivals", to_text(options.arrivals)},
                      {"connections", options.connections},
                      {"threads", options.threads},
                      {"warm_up_s", options.warm_up_s},
                      {"users", options.users},
                      {"first_user", options.first_user},
                      {"zipf", options.zipf},
                      {"seed", options.seed}};
  for (size_t i = 0; i < kOperationCount; ++i) {
    const auto kind = static_cast<OperationKind>(i);
    if (options.mix.parts_of(kind) > 0) json["mix"][std::string(to_text(kind))] = options.mix.parts_of(kind);
  }
  return json;
}

}  // namespace

LatencyHistogram LoadFigures::latency() const {
  LatencyHistogram all = unserved_wait;
  for (const LatencyHistogram& one : statistics.operation_latency) all.merge(one);
  return all;
}

bool has_kept_up(const LoadOptions& options, const LoadFigures& figures) {
  const double allowed = std::max(kUnservedShareMax * static_cast<double>(figures.due),
                                  static_cast<double>(options.connections));
  return static_cast<double>(figures.unserved()) <= allowed;
}

std::string to_text(const LoadOptions& options, const LoadFigures& figures) {
  std::string out = fmt::format(
      "{:.0f} operations/s wanted ({}), {:.0f} came due, {:.0f} were done; backlog at most {}, at the end "
      "{}\n",
      options.rate, to_text(options.arrivals), figures.offered_rate(), figures.achieved_rate(),
      figures.backlog_max, figures.unserved());
  if (!has_kept_up(options, figures)) {
    out += fmt::format(
        "THE TARGET DID NOT KEEP UP: {} of {} operations never began. Latencies are lower bounds, and say "
        "more about "
        "the length of the run than about the target: lower --rate below {:.0f}.\n",
        figures.unserved(), figures.due, figures.achieved_rate());
  }
  out += fmt::format("\n{:<16} {:>10}", "milliseconds", "count");
  for (const Percentile& percentile : kPercentiles) out += fmt::format(" {:>9}", percentile.name);
  out += fmt::format(" {:>9}\n", "max");
  out += latency_row("all", figures.latency());
  for (size_t i = 0; i < kOperationCount; ++i) {
    const LatencyHistogram& latency = figures.statistics.operation_latency[i];
    if (latency.count() > 0) out += latency_row(to_text(static_cast<OperationKind>(i)), latency);
  }
  out += latency_row("start delay", figures.start_delay);
  out += latency_row("one statement", figures.statistics.statement_latency);
  return out;
}

std::string to_json(const LoadOptions& options, const LoadFigures& figures) {
  const Statistics& statistics = figures.statistics;
  nlohmann::json json = settings_json(options);
  json["seconds"] = figures.seconds;
  json["rate"] = {{"wanted", options.rate},
                  {"offered", figures.offered_rate()},
                  {"achieved", figures.achieved_rate()},
                  {"due", figures.due},
                  {"completed", statistics.operations.load()},
                  {"unserved", figures.unserved()},
                  {"backlog_max", figures.backlog_max},
                  {"kept_up", has_kept_up(options, figures)}};
  json["statements"] = statistics.statements.load();
  json["errors"] = statistics.errors.load();
  json["lost"] = statistics.lost.load();
  json["wrong_answers"] = statistics.wrong_answers.load();
  json["latency"] = latency_json(figures.latency());
  json["start_delay"] = latency_json(figures.start_delay);
  json["statement_latency"] = latency_json(statistics.statement_latency);
  for (size_t i = 0; i < kOperationCount; ++i) {
    if (statistics.operation_latency[i].count() == 0) continue;
    json["operations"][std::string(to_text(static_cast<OperationKind>(i)))] =
        latency_json(statistics.operation_latency[i]);
  }
  json["intervals"] = nlohmann::json::array();
  for (const Interval& interval : figures.intervals) json["intervals"].push_back(interval_json(interval));
  json["failures"] = find_failures(figures);
  return json.dump(2) + "\n";
}

std::string to_json_line(const Interval& interval, const LatencyHistogram& latency, double end_s) {
  nlohmann::json json = interval_json(interval);
  json["end_s"] = end_s;
  json["buckets_ns"] = latency.filled_buckets();
  return json.dump() + "\n";
}

std::vector<std::string> find_failures(const LoadFigures& figures) {
  std::vector<std::string> failures;
  for (const auto& [sort, failure] : figures.statistics.failures) {
    failures.push_back(fmt::format("{} x {}: {}", failure.count, sort, failure.example));
  }
  if (figures.due > 0 && figures.statistics.operations == 0) failures.push_back("no operation was completed");
  return failures;
}

}  // namespace mosaic::workload
