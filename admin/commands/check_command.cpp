#include <fmt/format.h>

#include <iostream>

#include "admin/catalog/catalog_store.h"
#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/init/table_checks.h"

namespace mosaic::admin {

namespace {

using routing::Result;

// The default node, as a running proxy sees it.
Result<Connection> connect_default_node(const Config& config) {
  const NodeConfig& node = *config.find_node(config.default_node);
  ConnectionTarget target = catalog_target(config);
  target.host = node.address.host;
  target.port = node.address.port;
  target.dbname = node.address.dbname;
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  return Connection::open(target, {.connect = limit, .query = limit});
}

Result<TableFindings> check_tables(const Config& config) {
  TableFindings all;
  auto connection = connect_default_node(config);
  if (!connection) return connection.error();
  for (const TableConfig& table : config.tables) {
    if (table.key.empty()) continue;
    auto found = check_sharded_table(*connection, table);
    if (!found) return found.error();
    all.errors.insert(all.errors.end(), found->errors.begin(), found->errors.end());
    all.warnings.insert(all.warnings.end(), found->warnings.begin(), found->warnings.end());
  }
  auto blind = find_blind_functions(*connection, config);
  if (!blind) return blind.error();
  all.warnings.insert(all.warnings.end(), blind->begin(), blind->end());
  return all;
}

}  // namespace

int check_command(const std::string& config_path) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  const auto tables = check_tables(load.config);
  if (!tables) {
    // The file is good by itself, and may be checked where the nodes are not.
    std::cerr << "note: the tables were not looked at: " << tables.error().to_line() << '\n';
    std::cout << "ok\n";
    return 0;
  }
  for (const std::string& warning : tables->warnings) std::cerr << "warning: " << warning << '\n';
  for (const std::string& error : tables->errors) std::cerr << "error: " << error << '\n';
  if (!tables->errors.empty()) return 1;
  std::cout << "ok\n";
  return 0;
}

}  // namespace mosaic::admin
