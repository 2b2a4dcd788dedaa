#include "admin/catalog/node_connection.h"

#include <fmt/format.h>

#include <optional>
#include <thread>

#include "admin/catalog/catalog_store.h"
#include "proxy/postgres/login/auth_file.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Result;

// Empty: nothing is wrong with it, or nothing can be said.
std::string find_mistake(const Config& config, const NodeConfig& node, const std::string& cluster_id,
                         std::chrono::milliseconds limit) {
  auto connection = connect_to_node(config, node, {.connect = limit, .query = limit});
  if (!connection) return "";
  auto record =
      connection->query(fmt::format("SELECT cluster_id, node FROM {}.node_record", config.catalog.schema));
  if (!record || record->count() == 0) return "";
  const auto is_at = fmt::format("nodes.{}: the database {} on {}:{}", node.address.name, node.address.dbname,
                                 node.address.host, node.address.port);
  if (record->text(0, 0) != cluster_id)
    return fmt::format("{} belongs to another cluster ({}, this one is {})", is_at, record->text(0, 0),
                       cluster_id);
  if (record->text(0, 1) != node.address.name)
    return fmt::format("{} is that of node \"{}\"", is_at, record->text(0, 1));
  return "";
}

}  // namespace

ConnectionTarget admin_target(const NodeConfig& node) {
  ConnectionTarget target;
  target.host = node.address.host;
  target.port = node.address.port;
  target.dbname = node.address.dbname;
  target.user = node.admin_user;
  target.password = node.admin_password;
  return target;
}

Result<Connection> connect_to_node(const Config& config, const NodeConfig& node, const WaitLimits& limits,
                                   const std::string& options) {
  ConnectionTarget target = catalog_target(config);
  target.host = node.address.host;
  target.port = node.address.port;
  target.dbname = node.address.dbname;
  target.options = options;
  const auto begin = std::chrono::steady_clock::now();
  auto connection = Connection::open(target, limits);
  if (connection || node.admin_user == target.user) return connection;
  if (std::chrono::steady_clock::now() - begin >= limits.connect)
    return connection;  // nor would another user
  ConnectionTarget admin = admin_target(node);
  admin.options = options;
  return Connection::open(admin, limits);
}

routing::Status check_logins(const Config& config, const NodeConfig& node, const WaitLimits& limits) {
  std::optional<proxy::AuthFile> file;
  if (!config.proxy.auth_file.empty()) {
    auto loaded = proxy::AuthFile::load(config.proxy.auth_file, proxy::ScramKey{});
    if (!loaded) return loaded.error();
    file = std::move(*loaded);
  }
  for (const std::string& user : config.application_users) {
    const proxy::AuthUser* secret = file ? file->find(user) : nullptr;
    ConnectionTarget target = admin_target(node);
    target.user = user;
    target.password = secret != nullptr ? secret->plaintext : "";
    if (const auto connection = Connection::open(target, limits); !connection)
      return routing::Error{
          routing::sqlstate::kLoginRefused, fmt::format("it does not let user \"{}\" in", user),
          connection.error().detail,
          "give the role the same password as on the other nodes (auth.file has it), and look at "
          "the node's pg_hba.conf"};
  }
  return {};
}

std::vector<std::string> find_mistaken_nodes(const Config& config, const std::vector<std::string>& names,
                                             const std::string& cluster_id, std::chrono::milliseconds limit) {
  std::vector<std::string> found(names.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < names.size(); ++i) {
    threads.emplace_back(
        [&, i] { found[i] = find_mistake(config, *config.find_node(names[i]), cluster_id, limit); });
  }
  for (std::thread& thread : threads) thread.join();
  std::erase(found, "");
  return found;
}

}  // namespace mosaic::admin
