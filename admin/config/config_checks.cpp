#include "admin/config/config_checks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "admin/config/nearest_word.h"
#include "proxy/postgres/login/auth_file.h"

namespace mosaic::admin {

namespace {

constexpr size_t kNodesMax = 1000;

// 34 years of milliseconds, as in Instagram's layout; the 64th bit is the sign.
constexpr uint32_t kIdBits = 63, kIdTimeBitsMin = 40;
constexpr size_t kIdentifierBytesMax =
    40;                               // PostgreSQL cuts names at 63; digits and suffixes must fit behind
constexpr size_t kNameBytesMax = 63;  // NAMEDATALEN - 1

// What a listener takes without asking a name server.
bool is_listen_address(const std::string& address) {
  unsigned char bytes[sizeof(in6_addr)];
  return address == "*" || address == "localhost" || inet_pton(AF_INET, address.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

class Checker {
 public:
  Checker(const Config& config, ConfigErrors& errors) : config_(config), errors_(errors) {}

  void check_all() {
    check_database();
    check_nodes();
    check_shards();
    check_tables();
    check_users();
  }

 private:
  SourcePosition at(const std::string& key) const {
    const auto found = config_.positions.find(key);
    if (found != config_.positions.end()) return found->second;
    const size_t dot = key.rfind('.');
    return dot == std::string::npos ? SourcePosition{} : at(key.substr(0, dot));
  }
  void add(const std::string& key, std::string message) {
    errors_.add(at(key), key + ": " + std::move(message));
  }

  void check_node_exists(const std::string& key, const std::string& name) {
    if (config_.nodes.empty() || name.empty() || config_.find_node(name) != nullptr) return;
    std::vector<std::string> names;
    for (const NodeConfig& node : config_.nodes) names.push_back(node.address.name);
    const std::string nearest = find_nearest_word(name, names);
    add(key, fmt::format("expected the name of a [nodes.NAME] section, got \"{}\"; {}", name,
                         nearest.empty() ? fmt::format("the nodes are {}", fmt::join(names, ", "))
                                         : fmt::format("did you mean \"{}\"?", nearest)));
  }

  void check_identifier(const std::string& key, const std::string& name) {
    if (!is_plain_identifier(name))
      add(key,
          fmt::format("expected a lower-case SQL name of at most {} letters, digits and _, not starting with "
                      "pg_ or a digit, got \"{}\"",
                      kIdentifierBytesMax, name));
  }

  void check_database() {
    const std::string& name = config_.proxy.database;
    const bool is_given = config_.positions.contains("database.name");
    if (is_given && (name.empty() || name.size() > kNameBytesMax))
      add("database.name", fmt::format("expected a database's name of 1 to {} bytes", kNameBytesMax));
    if (name == "mosaic" || name == "pgbouncer")
      add("database.name",
          fmt::format("\"{}\" is the name of the console's database; the application's needs another", name));
    check_node_exists("database.default_node", config_.default_node);
    check_node_exists("catalog.node", config_.catalog.node);
    check_identifier("catalog.schema", config_.catalog.schema);
    if (config_.catalog.schema == "public")
      add("catalog.schema", "expected a schema of its own, got \"public\", where applications' tables are");
    if (config_.catalog.user.empty()) add("catalog.user", "expected a role's name, got \"\"");
    if (!is_listen_address(config_.proxy.listen_address))
      add("listen.address",
          fmt::format("expected an IP address of this host (0.0.0.0 or :: for all), got \"{}\"",
                      config_.proxy.listen_address));
    if (config_.state_dir.empty()) add("mosaic.state_dir", "expected a folder, got \"\"");
  }

  void check_nodes() {
    if (config_.nodes.empty())
      errors_.add({}, "expected at least one node: a section [nodes.NAME] with host and port");
    if (config_.nodes.size() > kNodesMax) {
      errors_.add({}, fmt::format("expected at most {} nodes, got {}", kNodesMax, config_.nodes.size()));
      return;
    }
    for (size_t i = 0; i < config_.nodes.size(); ++i) {
      const pool::NodeAddress& node = config_.nodes[i].address;
      const std::string section = "nodes." + node.name;
      if (node.name.empty() || node.name.find('.') != std::string::npos)
        add(section, "a node's name must not be empty and must not hold a dot");
      if (node.host.empty()) add(section + ".host", "expected a host, got \"\"");
      if (config_.nodes[i].admin_user.empty())
        add(section + ".admin_user", "expected a role's name, got \"\"");
      if (node.port == config_.proxy.listen_port && node.host == config_.proxy.listen_address)
        add(section + ".port",
            fmt::format("{}:{} is where this proxy listens ([listen]); a node is a PostgreSQL server",
                        node.host, node.port));
      for (size_t k = 0; k < i; ++k) {
        const pool::NodeAddress& other = config_.nodes[k].address;
        if (other.host == node.host && other.port == node.port && other.dbname == node.dbname)
          add(section,
              fmt::format("same host, port and database as nodes.{}: each node needs its own", other.name));
      }
    }
  }

  void check_shards() {
    const ShardsConfig& shards = config_.shards;
    const bool has_no_place = std::none_of(config_.nodes.begin(), config_.nodes.end(),
                                           [](const NodeConfig& node) { return node.has_shards; });
    if (has_no_place && !config_.nodes.empty())
      add("shards", "expected a node for the shards, got shards = false for every node");
    const routing::IdLayout& id = shards.id_layout;
    check_identifier("shards.schema_prefix", shards.schema_prefix);
    if (id.shard_bits + id.sequence_bits + kIdTimeBitsMin > kIdBits)
      add("shards.id_shard_bits",
          fmt::format(
              "id_shard_bits + id_sequence_bits = {} + {} leaves {} bits for the time of an ID; expected at "
              "least {} (their sum at most {})",
              id.shard_bits, id.sequence_bits, kIdBits - id.shard_bits - id.sequence_bits, kIdTimeBitsMin,
              kIdBits - kIdTimeBitsMin));
    if (shards.count > (uint64_t{1} << id.shard_bits))
      add("shards.count", fmt::format("expected at most {} (2 to the power of id_shard_bits = {}), got {}",
                                      uint64_t{1} << id.shard_bits, id.shard_bits, shards.count));
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    if (id.epoch_ms > now_ms)
      add("shards.id_epoch_ms",
          fmt::format("expected a time in the past (Unix milliseconds), got {}", id.epoch_ms));
  }

  void check_tables() {
    for (const TableConfig& table : config_.tables) {
      const std::string section = "tables." + table.name;
      if (table.name.empty() || table.name.size() > kNameBytesMax)
        add(section, fmt::format("expected a table's name of 1 to {} bytes", kNameBytesMax));
      if (table.name.find('.') != std::string::npos)
        add(section, "expected the table's name without a schema");
      const int kinds =
          (table.key.empty() ? 0 : 1) + (table.is_reference ? 1 : 0) + (table.node.empty() ? 0 : 1);
      if (kinds != 1)
        add(section,
            fmt::format("expected exactly one of key = \"column\" (sharded), reference = true and node = "
                        "\"name\" (pinned), got {}",
                        kinds == 0 ? "none" : "several"));
      if (!table.id.empty() && table.key.empty())
        add(section + ".id", "only a sharded table (key = ...) has an id");
      check_node_exists(section + ".node", table.node);
    }
  }

  void check_users() {
    const proxy::ProxySettings& proxy = config_.proxy;
    for (const std::string& user : proxy.stats_users) {
      if (std::find(proxy.admin_users.begin(), proxy.admin_users.end(), user) != proxy.admin_users.end())
        add("auth.stats_users", fmt::format("\"{}\" is in admin_users too; name each user once", user));
    }
  }

  const Config& config_;
  ConfigErrors& errors_;
};

void check_readable(const Config& config, const std::string& key, const std::string& path,
                    ConfigErrors& errors) {
  errno = 0;
  std::ifstream file(path);
  file.peek();  // a folder opens, but does not read
  if (file.is_open() && !file.bad()) return;
  const auto at = config.positions.find(key);
  errors.add(at == config.positions.end() ? SourcePosition{} : at->second,
             fmt::format("{}: cannot read {}: {}", key, path, std::strerror(errno)));
}

SourcePosition position_of(const Config& config, const std::string& key) {
  const auto at = config.positions.find(key);
  return at == config.positions.end() ? SourcePosition{} : at->second;
}

void warn_of_missing_users(const Config& config, const std::string& key,
                           const std::vector<std::string>& users, const proxy::AuthFile& file,
                           ConfigErrors& warnings) {
  for (const std::string& user : users) {
    const proxy::AuthUser* known = file.find(user);
    if (known != nullptr && known->verifier) continue;
    warnings.add(position_of(config, key),
                 fmt::format("{}: \"{}\" {}, so that it can not log in to the console", key, user,
                             known == nullptr ? "is not in the auth file" : "has no usable secret"));
  }
}

void check_auth_file(const Config& config, ConfigErrors& errors, ConfigErrors& warnings) {
  const SourcePosition position = position_of(config, "auth.file");
  const bool is_scram = config.proxy.auth_type == proxy::AuthType::kScramSha256;
  if (config.proxy.auth_file.empty()) {
    if (is_scram) errors.add(position, "auth.file: scram-sha-256 needs a file of users");
    return;
  }
  // The salts' secret matters to running logins only.
  auto file = proxy::AuthFile::load(config.proxy.auth_file, proxy::ScramKey{});
  if (!file) return errors.add(position, "auth.file: " + file.error().to_line());
  for (const std::string& warning : file->warnings()) warnings.add(position, "auth.file: " + warning);
  if (!is_scram) return;
  warn_of_missing_users(config, "auth.admin_users", config.proxy.admin_users, *file, warnings);
  warn_of_missing_users(config, "auth.stats_users", config.proxy.stats_users, *file, warnings);
}

// A folder that is there and writable, or that can be made where it should be. Another user may be meant to
// run Mosaic, so that a want of privileges is no error.
void check_writable_folder(const Config& config, const std::string& key, const std::filesystem::path& folder,
                           ConfigErrors& errors, ConfigErrors& warnings) {
  std::error_code ignored;
  std::filesystem::path nearest = folder;
  while (!std::filesystem::exists(nearest, ignored) && nearest != nearest.parent_path())
    nearest = nearest.parent_path();
  const auto tell = [&](ConfigErrors& where, const std::string& why) {
    where.add(
        position_of(config, key),
        fmt::format("{}: expected a folder that can be written to, got {} ({})", key, folder.string(), why));
  };
  if (!std::filesystem::is_directory(nearest, ignored)) {
    tell(errors, nearest.string() + " is no folder");
  } else if (access(nearest.c_str(), W_OK | X_OK) != 0) {
    tell(warnings, fmt::format("for this user {}: {}", nearest.string(), std::strerror(errno)));
  }
}

}  // namespace

bool is_plain_identifier(std::string_view name) {
  if (name.empty() || name.size() > kIdentifierBytesMax || name.starts_with("pg_")) return false;
  if (name.front() >= '0' && name.front() <= '9') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

void complete_config(Config& config) {
  for (NodeConfig& node : config.nodes) {
    if (node.address.dbname.empty()) node.address.dbname = config.proxy.database;
    node.id.value = static_cast<uint16_t>(config.proxy.nodes.size());
    config.proxy.nodes.push_back({node.address, node.refuses_when_slow});
  }
  // Trust asks no password, so the default name of a file that nobody wrote must not be missed.
  const bool is_trust = config.proxy.auth_type == proxy::AuthType::kTrust;
  if (is_trust && !config.positions.contains("auth.file")) config.proxy.auth_file.clear();
  if (config.nodes.empty()) return;
  if (config.default_node.empty()) config.default_node = config.nodes.front().address.name;
  if (config.catalog.node.empty()) config.catalog.node = config.nodes.front().address.name;
}

void check_config(const Config& config, ConfigErrors& errors) { Checker(config, errors).check_all(); }

void check_files(const Config& config, ConfigErrors& errors, ConfigErrors& warnings) {
  check_auth_file(config, errors, warnings);
  if (!config.catalog.passfile.empty())
    check_readable(config, "catalog.passfile", config.catalog.passfile, errors);
}

void check_folders(const Config& config, ConfigErrors& errors, ConfigErrors& warnings) {
  check_writable_folder(config, "mosaic.state_dir", config.state_dir, errors, warnings);
  if (!config.pid_file.empty())
    check_writable_folder(config, "mosaic.pid_file", std::filesystem::path(config.pid_file).parent_path(),
                          errors, warnings);
}

}  // namespace mosaic::admin
