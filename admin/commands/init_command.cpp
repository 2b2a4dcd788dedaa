#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/init/init_runner.h"
#include "admin/init/schema_plan.h"
#include "routing/postgres/sql/schema_statements.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

routing::Result<std::string> read_file(const std::string& path) {
  const auto refuse = [&](const std::string& why) {
    return routing::Error{routing::sqlstate::kConfigError, path + ": cannot read the schema file: " + why, "",
                          ""};
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return refuse("it is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse(std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return refuse(std::strerror(errno));
  return text;
}

// Errors are told already; nothing then.
std::optional<SchemaPlan> plan_file(const std::string& path, const Config& config) {
  const auto text = read_file(path);
  if (!text) {
    std::cerr << text.error().to_line() << '\n';
    return std::nullopt;
  }
  const auto statements = routing::read_schema(*text);
  if (!statements) {
    std::cerr << path << ": " << statements.error().to_line() << '\n';
    return std::nullopt;
  }
  ConfigErrors errors;
  SchemaPlan plan = plan_schema(*statements, config, errors);
  if (errors.is_empty()) return plan;
  std::cerr << errors.to_text(path) << '\n';
  return std::nullopt;
}

}  // namespace

int init_command(const std::string& config_path, InitCommand command) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  std::optional<SchemaPlan> plan;
  if (!command.schema_path.empty()) {
    plan = plan_file(command.schema_path, load.config);
    if (!plan) return 1;
  }
  command.options.say = [](const std::string& line) { std::cout << line << std::endl; };
  if (const routing::Status status = InitRunner(load.config, std::move(plan), command.options).run();
      !status) {
    std::cerr << "mosaic init: " << status.error().to_line() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace mosaic::admin
