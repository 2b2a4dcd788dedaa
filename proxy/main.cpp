// The command line, and the composition root: the only file outside admin/ that sees it.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "admin/commands/commands.h"
#include "admin/config/nearest_word.h"
#include "admin/version.h"

namespace {

namespace admin = mosaic::admin;

// CLI11 needs the values to outlive parse().
struct Arguments {
  std::string config;
  admin::InitCommand init;
  admin::RouteOptions route;
  admin::MoveCommandLine move;
};

void add_config(CLI::App* command, std::string& config) {
  command->add_option("CONFIG", config, "The configuration file (TOML)")->required();
}

constexpr int kUsageStatus = 2;  // the command line itself is wrong

// "unknown command "rum"; did you mean "run"?", where the first word is none of the commands; else nothing.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return "";
  const std::string word = argv[1];
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), word) != names.end()) return "";
  const std::string nearest = mosaic::admin::find_nearest_word(word, names);
  return fmt::format("unknown command \"{}\"; {}", word,
                     nearest.empty() ? fmt::format("the commands are {}", fmt::join(names, ", "))
                                     : fmt::format("did you mean \"{}\"?", nearest));
}

// Runs the callback of the command that is asked for.
int run(CLI::App& app, int argc, char** argv, const int& status) {
  if (argc < 2) {
    std::cerr << app.help();
    return kUsageStatus;
  }
  if (const std::string unknown = unknown_command(app, argc, argv); !unknown.empty()) {
    std::cerr << "mosaic: " << unknown << '\n';
    return kUsageStatus;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageStatus;  // --help and --version are such errors, too
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Mosaic: makes many PostgreSQL nodes look like one."};
  app.name("mosaic");
  app.require_subcommand(1);
  app.set_version_flag("--version", "mosaic " + admin::mosaic_version());
  app.footer("mosaic COMMAND --help tells a command's options; man mosaic tells more.");
  Arguments arguments;
  int status = 0;

  CLI::App* serve = app.add_subcommand("run", "Run the proxy in the foreground");
  add_config(serve, arguments.config);
  serve->callback([&] { status = admin::run_command(arguments.config); });

  CLI::App* check = app.add_subcommand("check", "Read the configuration and tell all its errors");
  add_config(check, arguments.config);
  check->callback([&] { status = admin::check_command(arguments.config); });

  CLI::App* init = app.add_subcommand(
      "init",
      "Create the catalog, the shards and their tables, or what the schema file has gained; safe "
      "to run again");
  add_config(init, arguments.config);
  init->add_option("--schema", arguments.init.schema_path,
                   "SQL file with the application's tables; absent: what is recorded, or no tables");
  init->add_flag("--dry-run", arguments.init.options.is_dry_run, "Only say what would be done");
  init->add_option("--jobs", arguments.init.options.jobs, "Connections per node")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  init->callback([&] { status = admin::init_command(arguments.config, arguments.init); });

  CLI::App* move = app.add_subcommand(
      "move", "Give a command about moves of shards, as on the console; running proxies carry it out");
  add_config(move, arguments.config);
  move->add_option("COMMAND", arguments.move.command,
                   "\"MOVE SHARD 42 TO pg2\", \"DRAIN NODE pg3\", \"UNDO MOVE 7\" ...")
      ->required();
  move->add_flag("--wait", arguments.move.waits, "Show how it goes on, until the shards have moved");
  move->callback([&] { status = admin::move_command(arguments.config, arguments.move); });

  CLI::App* route = app.add_subcommand("route", "Say where a statement would go, without running it");
  add_config(route, arguments.config);
  route->add_option("STATEMENT", arguments.route.statement, "The statement")->required();
  route->add_flag("--offline", arguments.route.is_offline,
                  "Use the last map on disk, do not ask the catalog");
  route->callback([&] { status = admin::route_command(arguments.config, arguments.route); });

  CLI::App* version = app.add_subcommand("version", "Print the versions of Mosaic and of its libraries");
  version->callback([&] {
    std::cout << "mosaic " << admin::mosaic_version() << '\n'
              << "revision " << admin::mosaic_revision() << '\n'
              << admin::library_versions();
  });

  return run(app, argc, argv, status);
}
