#include "bench/workload/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace mosaic::workload {

namespace {

std::string with_commas(uint64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

double to_ms(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

double rate_of(const Statistics& statistics, double seconds) {
  return seconds > 0 ? static_cast<double>(statistics.statements) / seconds : 0;
}

std::string phase_row(std::string_view name, const Statistics& statistics, double seconds) {
  const LatencyHistogram& latency = statistics.statement_latency;
  return fmt::format(
      "{:<10} {:>12} {:>12} {:>9.2f} {:>9.2f} {:>9.2f} {:>8} {:>6} {:>6}\n", name,
      with_commas(statistics.statements), with_commas(static_cast<uint64_t>(rate_of(statistics, seconds))),
      to_ms(latency.percentile_ns(50)), to_ms(latency.percentile_ns(99)), to_ms(latency.percentile_ns(99.9)),
      statistics.errors.load(), statistics.lost.load(), statistics.wrong_answers.load());
}

uint64_t servers_of(const RunFigures& figures, size_t node) {
  if (!figures.peaks) return 0;
  const auto at = figures.peaks->servers.find(figures.node_addresses[node]);
  return at == figures.peaks->servers.end() ? 0 : at->second;
}

std::string node_table(const RunFigures& figures) {
  std::string out = fmt::format("{:<10} {:>12} {:>12}{}\n", "node", "shards", "rows",
                                figures.peaks ? "   server connections, at most" : "");
  for (size_t i = 0; i < figures.nodes.size(); ++i) {
    const NodeContent& node = figures.nodes[i];
    out += fmt::format("{:<10} {:>12} {:>12}", node.name, with_commas(node.shards), with_commas(node.rows));
    if (figures.peaks) out += fmt::format(" {:>30}", servers_of(figures, i));
    out += '\n';
  }
  return out;
}

void merge_phases(const RunFigures& figures, Statistics& all, double& seconds) {
  for (const PhaseFigures& phase : figures.phases) {
    all.merge(phase.statistics);
    seconds += phase.seconds;
  }
}

nlohmann::json latency_json(const LatencyHistogram& latency) {
  return {{"count", latency.count()},
          {"mean_ms", latency.mean_ns() / 1e6},
          {"p50_ms", to_ms(latency.percentile_ns(50))},
          {"p99_ms", to_ms(latency.percentile_ns(99))},
          {"p999_ms", to_ms(latency.percentile_ns(99.9))},
          {"max_ms", to_ms(latency.max_ns())}};
}

nlohmann::json phase_json(const PhaseFigures& phase) {
  const Statistics& statistics = phase.statistics;
  nlohmann::json json{{"mode", to_text(phase.mode)},
                      {"seconds", phase.seconds},
                      {"statements", statistics.statements.load()},
                      {"per_second", rate_of(statistics, phase.seconds)},
                      {"errors", statistics.errors.load()},
                      {"lost", statistics.lost.load()},
                      {"wrong_answers", statistics.wrong_answers.load()},
                      {"latency", latency_json(statistics.statement_latency)}};
  for (size_t i = 0; i < kOperationCount; ++i) {
    if (statistics.operation_latency[i].count() == 0) continue;
    json["operations"][std::string(to_text(static_cast<OperationKind>(i)))] =
        latency_json(statistics.operation_latency[i]);
  }
  for (const auto& [sort, failure] : statistics.failures) {
    json["failures"][sort] = {{"count", failure.count}, {"example", failure.example}};
  }
  return json;
}

}  // namespace

std::string to_table(const Options& options, const RunFigures& figures) {
  std::string out =
      fmt::format("{:<10} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8} {:>6} {:>6}\n", "protocol", "statements",
                  "per second", "p50 ms", "p99 ms", "p99.9 ms", "errors", "lost", "wrong");
  for (const PhaseFigures& phase : figures.phases)
    out += phase_row(to_text(phase.mode), phase.statistics, phase.seconds);
  if (figures.phases.size() > 1) {
    Statistics all;
    double seconds = 0;
    merge_phases(figures, all, seconds);
    out += phase_row("all", all, seconds);
  }
  if (!figures.nodes.empty()) out += "\n" + node_table(figures);
  if (figures.peaks) {
    uint64_t servers = 0;
    for (const auto& [address, count] : figures.peaks->servers) servers += count;
    out += fmt::format("\n{} clients shared {} server connections\n", options.connections, servers);
  }
  if (figures.verification) {
    const Verification& verification = *figures.verification;
    out +=
        fmt::format("\noracle: {} rows of this run compared, {} rows found on their shards: {}\n",
                    with_commas(verification.rows_compared), with_commas(verification.rows_placed),
                    verification.differences == 0 ? "no difference"
                                                  : with_commas(verification.differences) + " DIFFERENCES");
  }
  return out;
}

std::string to_json(const Options& options, const RunFigures& figures) {
  nlohmann::json json{
      {"connections", options.connections}, {"threads", options.threads}, {"users", options.users},
      {"first_user", options.first_user},   {"zipf", options.zipf},       {"seed", options.seed}};
  for (const PhaseFigures& phase : figures.phases) json["phases"].push_back(phase_json(phase));
  for (size_t i = 0; i < figures.nodes.size(); ++i) {
    const NodeContent& node = figures.nodes[i];
    json["nodes"].push_back({{"name", node.name},
                             {"shards", node.shards},
                             {"rows", node.rows},
                             {"servers_peak", servers_of(figures, i)}});
  }
  if (figures.peaks) json["clients_peak"] = figures.peaks->clients;
  if (figures.verification) {
    json["check"] = {{"rows_compared", figures.verification->rows_compared},
                     {"rows_placed", figures.verification->rows_placed},
                     {"differences", figures.verification->differences},
                     {"examples", figures.verification->examples}};
  }
  json["failures"] = find_failures(options, figures);
  return json.dump(2) + "\n";
}

std::vector<std::string> find_failures(const Options& options, const RunFigures& figures) {
  std::vector<std::string> failures;
  Statistics all;
  double seconds = 0;
  merge_phases(figures, all, seconds);
  for (const auto& [sort, failure] : all.failures) {
    const bool is_wrong = sort == "wrong answer";
    if (options.tolerates_errors && !is_wrong) continue;
    failures.push_back(fmt::format("{} x {}: {}", failure.count, sort, failure.example));
  }
  if (all.statements == 0) failures.push_back("no statement was answered");
  if (figures.peaks && !figures.peaks->error.empty()) failures.push_back("console: " + figures.peaks->error);
  for (size_t i = 0; options.servers_max > 0 && i < figures.nodes.size(); ++i) {
    if (servers_of(figures, i) <= options.servers_max) continue;
    failures.push_back(fmt::format("{} had {} server connections, more than {}", figures.nodes[i].name,
                                   servers_of(figures, i), options.servers_max));
  }
  if (figures.verification && figures.verification->differences > 0) {
    for (const std::string& example : figures.verification->examples) failures.push_back(example);
    const uint64_t shown = figures.verification->examples.size();
    if (figures.verification->differences > shown) {
      failures.push_back(
          fmt::format("... and {} more differences", figures.verification->differences - shown));
    }
  }
  return failures;
}

}  // namespace mosaic::workload
