#include "admin/config/config_reload.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "admin/config/config_keys.h"

namespace mosaic::admin {

namespace {

std::string value_of(const Config& config, const std::string& name) {
  const auto at = config.values.find(name);
  return at == config.values.end() ? "nothing" : at->second;
}

// "tables.NAME.key" of a table that only one of the two lists: the catalog says how it is routed, so that it
// may come and go.
bool is_of_one_sided_table(const std::string& name, const Config& running, const Config& read) {
  constexpr std::string_view kPrefix = "tables.";
  if (!name.starts_with(kPrefix)) return false;
  const std::string table = name.substr(kPrefix.size(), name.rfind('.') - kPrefix.size());
  const auto lists = [&](const Config& config) {
    return std::any_of(config.tables.begin(), config.tables.end(),
                       [&](const TableConfig& listed) { return listed.name == table; });
  };
  return lists(running) != lists(read);
}

std::string secrets_of(const Config& config) {
  std::string all = config.catalog.password;
  for (const NodeConfig& node : config.nodes) all += '\x1f' + node.admin_password;
  return all;
}

}  // namespace

std::vector<std::string> fixed_differences(const Config& running, const Config& read) {
  std::set<std::string> names;
  for (const auto& [name, value] : running.values) names.insert(name);
  for (const auto& [name, value] : read.values) names.insert(name);
  std::vector<std::string> lines;
  for (const std::string& name : names) {
    const ConfigKey* key = find_config_key_of(name);
    const std::string old_value = value_of(running, name), new_value = value_of(read, name);
    if (key != nullptr && !key->is_reloadable && old_value != new_value &&
        !is_of_one_sided_table(name, running, read))
      lines.push_back(fmt::format("{}: {} runs, the file says {}", name, old_value, new_value));
  }
  // Values of secrets are masked, so they are compared here, and not shown.
  if (secrets_of(running) != secrets_of(read))
    lines.emplace_back("a password of [catalog] or [nodes.NAME] is another");
  std::vector<std::string> old_order, new_order;
  for (const NodeConfig& node : running.nodes) old_order.push_back(node.address.name);
  for (const NodeConfig& node : read.nodes) new_order.push_back(node.address.name);
  if (old_order != new_order && lines.empty()) lines.emplace_back("the nodes stand in another order");
  return lines;
}

std::vector<std::string> changed_keys(const Config& before, const Config& after) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : after.values) {
    const std::string old_value = value_of(before, name);
    if (old_value != value) lines.push_back(fmt::format("{}: {} -> {}", name, old_value, value));
  }
  return lines;
}

}  // namespace mosaic::admin
