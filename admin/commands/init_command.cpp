#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/init/init_runner.h"
#include "admin/init/schema_plan.h"
#include "routing/postgres/sql/schema_statements.h"

namespace mosaic::admin {

int init_command(const std::string& config_path, const InitOptions& options) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  std::ifstream file(options.schema_path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    std::cerr << options.schema_path
              << ": cannot read the schema file: " << (file ? "it is empty" : std::strerror(errno)) << '\n';
    return 1;
  }
  const auto statements = routing::read_schema(text.str());
  if (!statements) {
    std::cerr << options.schema_path << ": " << statements.error().to_line() << '\n';
    return 1;
  }
  ConfigErrors errors;
  const SchemaPlan plan = plan_schema(*statements, load.config, errors);
  if (!errors.is_empty()) {
    std::cerr << errors.to_text(options.schema_path) << '\n';
    return 1;
  }
  if (const routing::Status status = InitRunner(load.config, plan, options).run(); !status) {
    std::cerr << "mosaic init: " << status.error().to_line() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace mosaic::admin
