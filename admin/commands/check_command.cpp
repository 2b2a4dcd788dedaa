#include <fmt/format.h>

#include <iostream>

#include "admin/catalog/catalog_store.h"
#include "admin/catalog/node_connection.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/commands/commands.h"
#include "admin/config/config_checks.h"
#include "admin/config/config_loader.h"
#include "admin/init/table_checks.h"
#include "pool/listener.h"
#include "proxy/postgres/login/auth_file.h"

namespace mosaic::admin {

namespace {

using routing::Result;
using routing::Status;

// What was found; `note` says why something was not looked at.
struct Findings {
  std::vector<std::string> errors, warnings, notes;
};

// A node, as a running proxy sees it.
Result<Connection> connect_node(const Config& config, const NodeConfig& node) {
  ConnectionTarget target = catalog_target(config);
  target.host = node.address.host;
  target.port = node.address.port;
  target.dbname = node.address.dbname;
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  return Connection::open(target, {.connect = limit, .query = limit});
}

void append(const Result<std::vector<std::string>>& found, Findings& all) {
  if (!found) {
    all.notes.push_back("the tables were not looked at: " + found.error().to_line());
    return;
  }
  all.errors.insert(all.errors.end(), found->begin(), found->end());
}

void check_tables(const Config& config, Findings& all) {
  auto connection = connect_node(config, *config.find_node(config.default_node));
  if (!connection) {
    all.notes.push_back("the tables were not looked at: " + connection.error().to_line());
    return;
  }
  for (const TableConfig& table : config.tables) {
    if (!table.key.empty()) append(check_sharded_table(*connection, table), all);
  }
  append(find_blind_functions(*connection, config), all);
}

// What `mosaic run` would refuse to start with.
void check_catalog(const Config& config, Findings& all) {
  auto store = CatalogStore::open(config, nullptr);
  if (!store) {
    // The file is good by itself, and may be checked where the nodes are not.
    all.notes.push_back("the catalog was not looked at: " + store.error().to_line());
    return;
  }
  const auto exists = store->exists();
  if (exists && !*exists) {
    all.notes.push_back(fmt::format("there is no catalog on node {}: `mosaic run` starts after `mosaic init`",
                                    config.catalog.node));
    return;
  }
  const auto state = store->load();
  if (!state) {
    all.errors.push_back(state.error().to_line());
    return;
  }
  if (const auto snapshot = build_snapshot(*state, config); !snapshot) {
    all.errors.push_back(snapshot.error().to_line());
    return;
  }
  std::vector<std::string> names;
  for (const NodeConfig& node : config.nodes) names.push_back(node.address.name);
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  for (std::string& line : find_mistaken_nodes(config, names, state->cluster_id, limit))
    all.errors.push_back(std::move(line));
  for (const auto& lines : {describe_one_sided_tables(*state, config), describe_unused_nodes(*state, config)})
    all.warnings.insert(all.warnings.end(), lines.begin(), lines.end());
}

// A user of whom the auth file has no password logs in here, and then can not log in to a node that wants
// one.
void check_node_logins(const Config& config, Findings& all) {
  constexpr size_t kUsersMax = 20;  // each costs a connection to each node
  if (config.proxy.auth_file.empty()) return;
  const auto file = proxy::AuthFile::load(config.proxy.auth_file, proxy::ScramKey{});
  if (!file) return;
  const std::vector<std::string> users = file->users_without_password();
  for (size_t i = 0; i < std::min(users.size(), kUsersMax); ++i) {
    for (const NodeConfig& node : config.nodes) {
      ConnectionTarget target;
      target.host = node.address.host;
      target.port = node.address.port;
      target.dbname = node.address.dbname;
      target.user = users[i];
      const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
      if (!Connection::wants_password(target, {.connect = limit})) continue;
      all.warnings.push_back(fmt::format(
          "auth.file: user \"{}\" has a SCRAM secret only, with which Mosaic can not log in to node {}, "
          "where a password is wanted; put the password itself into the file",
          users[i], node.address.name));
      break;
    }
  }
}

}  // namespace

int check_command(const std::string& config_path) {
  ConfigLoad load = load_config(config_path);
  const Config& config = load.config;
  if (load.errors.is_empty()) check_folders(config, load.errors, load.warnings);
  if (!load.warnings.is_empty()) std::cerr << load.warnings.to_text("warning: " + config_path) << '\n';
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  Findings found;
  // Port 0: the address alone is in question, Mosaic may be running.
  if (const Status status = pool::Listener::probe(config.proxy.listen_address, 0); !status)
    found.errors.push_back(fmt::format("listen.address: \"{}\" is no address of this host: {}",
                                       config.proxy.listen_address, status.error().detail));
  check_catalog(config, found);
  check_tables(config, found);
  check_node_logins(config, found);
  for (const std::string& note : found.notes) std::cerr << "note: " << note << '\n';
  for (const std::string& warning : found.warnings) std::cerr << "warning: " << warning << '\n';
  for (const std::string& error : found.errors) std::cerr << "error: " << error << '\n';
  if (!found.errors.empty()) return 1;
  std::cout << "ok\n";
  return 0;
}

}  // namespace mosaic::admin
