// Point selects through several proxies in turn, each for a fraction of a second, round after round: on a
// machine whose speed changes from second to second neighbours in time compare, and forty pairs tell more
// than three.
//
// Run: turns PLAN.JSON (plan.h). Prints one JSON object: per target its figures by round, and its latencies
// over all rounds. Exits 1, saying why, when a target answers with an error.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <vector>

#include "bench/turns/closed_loop.h"
#include "bench/turns/plan.h"

namespace mosaic::turns {
namespace {

struct Contender {
  std::unique_ptr<ClosedLoop> loop;
  workload::LatencyHistogram latencies;
  nlohmann::json rounds = nlohmann::json::array();
};

nlohmann::json figures(const Window& window, bool has_process) {
  const auto transactions = static_cast<double>(std::max<uint64_t>(window.transactions, 1));
  nlohmann::json round{{"tps", transactions / window.seconds}};
  if (has_process) round["cpu_us"] = window.cpu_s * 1e6 / transactions;
  return round;
}

nlohmann::json run(const Plan& plan) {
  std::vector<Contender> contenders;
  for (const Target& target : plan.targets) {
    contenders.push_back({std::make_unique<ClosedLoop>(target, plan.clients, plan.seed), {}});
  }
  std::vector<size_t> order(contenders.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937_64 random(plan.seed);
  workload::LatencyHistogram ignored;
  for (const size_t i : order) contenders[i].loop->run(0, plan.settle_s, ignored);
  for (uint32_t round = 0; round < plan.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);  // nobody always runs after the same one
    for (const size_t i : order) {
      Contender& contender = contenders[i];
      const Window window = contender.loop->run(plan.warm_up_s, plan.window_s, contender.latencies);
      contender.rounds.push_back(figures(window, contender.loop->target().pid != 0));
    }
  }
  nlohmann::json result = nlohmann::json::object();
  for (const Contender& contender : contenders) {
    nlohmann::json& entry = result[contender.loop->target().name];
    entry["rounds"] = contender.rounds;
    for (const auto& [name, percent] : {std::pair("p50_ms", 50.0), {"p99_ms", 99.0}, {"p999_ms", 99.9}}) {
      entry[name] = static_cast<double>(contender.latencies.percentile_ns(percent)) / 1e6;
    }
  }
  return result;
}

}  // namespace
}  // namespace mosaic::turns

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "Usage: turns PLAN.JSON\n");
    return 2;
  }
  try {
    fmt::print("{}\n", mosaic::turns::run(mosaic::turns::read_plan(arguments[1])).dump(1));
    return 0;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "turns: {}\n", problem.what());
    return 1;
  }
}
