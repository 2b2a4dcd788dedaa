#include "admin/config/config_reload.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "admin/config/config_keys.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

std::string value_of(const Config& config, const std::string& name) {
  const auto at = config.values.find(name);
  return at == config.values.end() ? "" : at->second;
}

std::set<std::string> names_of(const Config& running, const Config& read) {
  std::set<std::string> names;
  for (const auto& [name, value] : running.values) names.insert(name);
  for (const auto& [name, value] : read.values) names.insert(name);
  return names;
}

std::string or_not_set(const std::string& value) { return value.empty() ? "not set" : value; }

bool is_secret(const std::string& name) {
  const ConfigKey* key = find_config_key_of(name);
  return key != nullptr && key->limits.type == ConfigType::kSecret;
}

// "pg1" of "nodes.pg1.port"; empty: a key of something else.
std::string node_of_key(const std::string& name) {
  constexpr std::string_view kPrefix = "nodes.";
  if (!name.starts_with(kPrefix)) return "";
  return name.substr(kPrefix.size(), name.rfind('.') - kPrefix.size());
}

// Values of secrets are masked, so these are compared by themselves, and not shown.
void add_secrets(const Config& before, const Config& after, std::vector<std::string>& lines) {
  if (before.catalog.password != after.catalog.password) lines.emplace_back("catalog.password: another");
  for (const NodeConfig& node : after.nodes) {
    const NodeConfig* known = before.find_node(node.address.name);
    if (known != nullptr && known->admin_password != node.admin_password)
      lines.push_back(fmt::format("nodes.{}.admin_password: another", node.address.name));
  }
}

}  // namespace

std::vector<std::string> fixed_differences(const Config& running, const Config& read) {
  std::vector<std::string> lines;
  for (const std::string& name : names_of(running, read)) {
    const ConfigKey* key = find_config_key_of(name);
    const std::string old_value = value_of(running, name), new_value = value_of(read, name);
    if (key != nullptr && !key->is_reloadable && old_value != new_value)
      lines.push_back(
          fmt::format("{}: {} runs, the file says {}", name, or_not_set(old_value), or_not_set(new_value)));
  }
  return lines;
}

std::vector<std::string> changed_keys(const Config& before, const Config& after) {
  std::vector<std::string> lines;
  std::set<std::string> one_sided;
  for (const NodeConfig& node : after.nodes) {
    const std::string& name = node.address.name;
    if (before.find_node(name) != nullptr) continue;
    one_sided.insert(name);
    lines.push_back(fmt::format("nodes.{}: new, at {}:{}", name, node.address.host, node.address.port));
  }
  for (const NodeConfig& node : before.nodes) {
    if (after.find_node(node.address.name) != nullptr) continue;
    one_sided.insert(node.address.name);
    lines.push_back(fmt::format("nodes.{}: gone", node.address.name));
  }
  for (const std::string& name : names_of(before, after)) {
    if (is_secret(name) || one_sided.contains(node_of_key(name))) continue;
    const std::string old_value = value_of(before, name), new_value = value_of(after, name);
    if (old_value != new_value)
      lines.push_back(fmt::format("{}: {} -> {}", name, or_not_set(old_value), or_not_set(new_value)));
  }
  add_secrets(before, after, lines);
  return lines;
}

routing::Status keep_node_ids(const Config& running, Config& read) {
  std::vector<pool::NodeSettings> by_id = running.proxy.nodes;
  for (pool::NodeSettings& node : by_id) node.is_removed = true;
  for (NodeConfig& node : read.nodes) {
    const pool::NodeSettings settings = read.proxy.nodes[node.id.value];
    size_t id = 0;
    while (id < by_id.size() && by_id[id].address.name != node.address.name) ++id;
    if (id == by_id.size()) by_id.emplace_back();
    by_id[id] = settings;
    node.id.value = static_cast<uint16_t>(id);
  }
  if (by_id.size() > kNodeIdsMax)
    return routing::Error{
        routing::sqlstate::kConfigError, "too many nodes have come and gone since the start",
        fmt::format("{} names; the limit is {}", by_id.size(), kNodeIdsMax), "restart Mosaic"};
  read.proxy.nodes = std::move(by_id);
  return {};
}

}  // namespace mosaic::admin
