// The demo's workload: a photo-sharing application that talks to what looks like one PostgreSQL, in all three
// query modes, and afterwards compares every row with what it was told. Started by quickstart.sh and by the
// end-to-end tests. This file is the run from top to bottom; the parts stand in bench/workload/.

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "bench/workload/client_loop.h"
#include "bench/workload/options.h"
#include "bench/workload/phase_runner.h"
#include "bench/workload/photo_client.h"
#include "bench/workload/progress_line.h"
#include "bench/workload/report.h"
#include "bench/workload/verifier.h"

namespace {

using namespace mosaic::workload;

// How long all clients together may try to sign their users up.
constexpr Nanoseconds kSignUpTimeMax = 60'000'000'000;

using Clients = std::vector<std::unique_ptr<PhotoClient>>;

Clients make_clients(const Options& options, Population& population) {
  Clients clients;
  for (uint32_t i = 0; i < options.connections; ++i) {
    clients.push_back(
        std::make_unique<PhotoClient>(i, options.conninfo, options.seed * 1'000'003, population));
  }
  clients.front()->add_setting();
  return clients;
}

// Signs up this phase's share of the users, then draws from the mix. Returns false when users were left out.
bool run_phase(const Options& options, size_t phase, Population& population, Clients& clients,
               PhaseRunner& runner, ProgressLine& progress, PhaseFigures& figures) {
  const uint64_t first = options.users * phase / options.modes.size();
  const uint64_t last = std::max<uint64_t>(1, options.users * (phase + 1) / options.modes.size());
  for (uint64_t user = first; user < last; ++user) {
    clients[user % clients.size()]->add_sign_up(options.first_user + static_cast<int64_t>(user));
  }
  const Nanoseconds begin = monotonic_now();
  const std::string mode(to_text(options.modes[phase]));

  Stage sign_ups;
  sign_ups.mode = options.modes[phase];
  sign_ups.is_preparation = true;
  sign_ups.end = begin + kSignUpTimeMax;
  progress.begin(mode + ", sign-ups");
  runner.run(sign_ups, clients, figures.statistics);
  const bool is_complete = std::all_of(clients.begin(), clients.end(),
                                       [](const auto& client) { return !client->has_preparations(); });
  if (is_complete) {
    population.set_signed_up(last);
    std::atomic<int64_t> operations_left = static_cast<int64_t>(options.operations);
    Stage mix;
    mix.mode = options.modes[phase];
    if (options.operations > 0) {
      mix.operations_left = &operations_left;
    } else {
      mix.end = monotonic_now() + static_cast<Nanoseconds>(options.duration_s * 1e9);
    }
    progress.begin(mode);
    runner.run(mix, clients, figures.statistics);
  }
  progress.end();
  figures.mode = options.modes[phase];
  figures.seconds = static_cast<double>(monotonic_now() - begin) / 1e9;
  return is_complete;
}

std::string database_of(const std::string& conninfo) {
  const ConnectionPtr connection = connect_blocking(conninfo);
  return PQdb(connection.get());
}

// "127.0.0.1:6441", as the console's SHOW SERVERS writes it.
std::string address_of(const ClusterNode& node) {
  const ConnectionPtr connection = connect_blocking(node.conninfo);
  return fmt::format("{}:{}", PQhostaddr(connection.get()), PQport(connection.get()));
}

Oracle merge_oracles(Clients& clients) {
  Oracle all;
  for (const auto& client : clients) all.merge(std::move(client->oracle()));
  return all;
}

void look_at_nodes(const Options& options, const Population& population, const Oracle& oracle,
                   RunFigures& figures) {
  const ClusterMap map = read_cluster_map(options.catalog, options.nodes);
  const Verifier verifier(map, population);
  figures.nodes = verifier.count_content();
  for (const ClusterNode& node : map.nodes) figures.node_addresses.push_back(address_of(node));
  if (options.checks) figures.verification = verifier.verify(oracle);
}

int run(const Options& options) {
  Population population(options.first_user, options.users, options.zipf);
  Clients clients = make_clients(options, population);
  ProgressLine progress;
  PhaseRunner runner(options.threads, static_cast<Nanoseconds>(options.statement_timeout_s * 1e9),
                     [&](const StageProgress& stage) { progress.show(stage); });
  RunFigures figures;
  std::optional<ConsoleWatch> watch;
  if (!options.console.empty()) watch.emplace(options.console, database_of(options.conninfo));

  bool is_complete = true;
  for (size_t phase = 0; phase < options.modes.size() && is_complete; ++phase) {
    is_complete =
        run_phase(options, phase, population, clients, runner, progress, figures.phases.emplace_back());
  }
  if (watch) figures.peaks = watch->stop();
  const Oracle oracle = merge_oracles(clients);
  clients.clear();

  while (!options.busy_file.empty() && std::filesystem::exists(options.busy_file))
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if (options.is_unsharded) {
    if (options.checks) figures.verification = verify_unsharded(options.conninfo, oracle, population);
  } else if (!options.nodes.empty()) {
    look_at_nodes(options, population, oracle, figures);
  }
  std::cout << to_table(options, figures) << std::flush;
  if (!options.json_file.empty()) std::ofstream(options.json_file) << to_json(options, figures);

  std::vector<std::string> failures = find_failures(options, figures);
  if (!is_complete) failures.push_back("not all users could be signed up");
  for (const std::string& failure : failures) std::cerr << "FAILED: " << failure << "\n";
  return failures.empty() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const ParsedOptions parsed = parse_options(count, arguments);
  if (!parsed.is_ok) return parsed.exit_code;
  try {
    return run(parsed.options);
  } catch (const std::exception& error) {
    std::cerr << "photo_workload: " << error.what() << "\n";
    return 1;
  }
}
