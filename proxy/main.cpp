// The command line, and the composition root: the only file outside admin/ that sees it.

#include <CLI/CLI.hpp>
#include <iostream>

#include "admin/commands/commands.h"
#include "admin/version.h"

namespace {

namespace admin = mosaic::admin;

// CLI11 needs the values to outlive parse().
struct Arguments {
  std::string config;
  admin::InitOptions init;
  admin::RouteOptions route;
};

void add_config(CLI::App* command, std::string& config) {
  command->add_option("CONFIG", config, "The configuration file (TOML)")->required();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Mosaic: makes many PostgreSQL nodes look like one."};
  app.name("mosaic");
  app.require_subcommand(1);
  Arguments arguments;
  int status = 0;

  CLI::App* run = app.add_subcommand("run", "Run the proxy in the foreground");
  add_config(run, arguments.config);
  run->callback([&] { status = admin::run_command(arguments.config); });

  CLI::App* check = app.add_subcommand("check", "Read the configuration and tell all its errors");
  add_config(check, arguments.config);
  check->callback([&] { status = admin::check_command(arguments.config); });

  CLI::App* init =
      app.add_subcommand("init", "Create the catalog, the shards and their tables; safe to run again");
  add_config(init, arguments.config);
  init->add_option("--schema", arguments.init.schema_path, "SQL file with the application's tables")
      ->required();
  init->add_flag("--dry-run", arguments.init.is_dry_run, "Only say what would be done");
  init->add_option("--jobs", arguments.init.jobs, "Connections per node")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  init->callback([&] { status = admin::init_command(arguments.config, arguments.init); });

  CLI::App* route = app.add_subcommand("route", "Say where a statement would go, without running it");
  add_config(route, arguments.config);
  route->add_option("STATEMENT", arguments.route.statement, "The statement")->required();
  route->add_flag("--offline", arguments.route.is_offline,
                  "Use the last map on disk, do not ask the catalog");
  route->callback([&] { status = admin::route_command(arguments.config, arguments.route); });

  CLI::App* version = app.add_subcommand("version", "Print the versions of Mosaic and of its libraries");
  version->callback([&] {
    std::cout << "mosaic " << admin::mosaic_version() << '\n' << admin::library_versions();
  });

  CLI11_PARSE(app, argc, argv);
  return status;
}
