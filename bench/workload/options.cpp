#include "bench/workload/options.h"

#include <CLI/CLI.hpp>
#include <chrono>

namespace mosaic::workload {

namespace {

int64_t first_user_by_clock() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count() * 1000;
}

}  // namespace

QueryMode parse_mode(const std::string& text) {
  for (const QueryMode mode : kQueryModes) {
    if (to_text(mode) == text) return mode;
  }
  throw CLI::ValidationError("--mode", "expected simple, extended or prepared, got '" + text + "'");
}

ParsedOptions parse_options(int count, char** arguments) {
  ParsedOptions parsed;
  Options& options = parsed.options;
  std::vector<std::string> modes;
  std::vector<std::string> nodes;
  CLI::App app("A photo-sharing application's traffic, with an oracle of what it was told succeeded.");
  app.add_option("--conninfo", options.conninfo, "where the application connects (libpq)")
      ->capture_default_str();
  app.add_option("-c,--connections", options.connections, "clients, each with one connection")
      ->capture_default_str()
      ->check(CLI::Range(1u, 100'000u));
  app.add_option("-j,--threads", options.threads, "threads that drive them")
      ->capture_default_str()
      ->check(CLI::Range(1u, 256u));
  app.add_option("-M,--mode", modes,
                 "simple, extended, prepared; one run after the other (default: all three)")
      ->delimiter(',');
  app.add_option("-T,--duration", options.duration_s, "seconds per mode")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("-n,--operations", options.operations, "operations per mode, instead of a duration");
  app.add_option("--users", options.users, "users to sign up, over all modes")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  app.add_option("--first-user", options.first_user, "ID of the first of them (default: from the clock)");
  app.add_option("--zipf", options.zipf, "skew of the users' popularity")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "of the random choices")->capture_default_str();
  app.add_option("--statement-timeout", options.statement_timeout_s,
                 "seconds without an answer: counts as lost")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--unsharded", options.is_unsharded,
               "the target is a plain PostgreSQL, with the tables in public");
  app.add_flag("--check", options.checks, "afterwards read every node directly and compare with the oracle");
  app.add_option("--node", nodes, "name=\"conninfo\" of a node, direct and as superuser; once per node");
  app.add_option("--catalog", options.catalog,
                 "conninfo of the catalog's database (default: the first node)");
  app.add_option("--console", options.console, "conninfo of Mosaic's console, to count connections");
  app.add_option("--servers-max", options.servers_max, "fail when a node ever has more server connections");
  app.add_flag("--tolerate-errors", options.tolerates_errors,
               "errors and lost connections are no failure; wrong answers and differences still are");
  app.add_option("--json", options.json_file, "write the figures to this file");
  app.add_option("--check-once-gone", options.busy_file,
                 "look at the nodes only when this file is gone: shards may be moving until then");
  try {
    app.parse(count, arguments);
    if (!modes.empty()) options.modes.clear();
    for (const std::string& mode : modes) options.modes.push_back(parse_mode(mode));
    for (const std::string& node : nodes) options.nodes.push_back(parse_node(node));
    if (options.checks && !options.is_unsharded && options.nodes.empty()) {
      throw CLI::RequiredError("--check needs --node for every node (or --unsharded)");
    }
    if (options.catalog.empty() && !options.nodes.empty()) options.catalog = options.nodes.front().conninfo;
    if (options.first_user == 0) options.first_user = first_user_by_clock();
    options.threads = std::min(options.threads, options.connections);
    parsed.is_ok = true;
  } catch (const CLI::Error& error) {
    parsed.exit_code = app.exit(error);
  } catch (const std::runtime_error& error) {
    std::cerr << error.what() << "\n";
    parsed.exit_code = 2;
  }
  return parsed;
}

}  // namespace mosaic::workload
