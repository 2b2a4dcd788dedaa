#include "admin/config/config_loader.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "admin/config/config_checks.h"
#include "admin/config/config_keys.h"
#include "admin/config/nearest_word.h"

namespace mosaic::admin {

namespace {

SourcePosition position_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

// Named sections in the file's order: the order of nodes is meaningful, and toml++ sorts by name.
std::vector<std::pair<std::string, const toml::node*>> in_file_order(const toml::table& table) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [key, node] : table) entries.emplace_back(std::string(key.str()), &node);
  std::stable_sort(entries.begin(), entries.end(), [](const auto& left, const auto& right) {
    const auto& a = left.second->source().begin;
    const auto& b = right.second->source().begin;
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return entries;
}

class Reader {
 public:
  explicit Reader(ConfigLoad& load) : load_(load) {}

  void read(const toml::table& root) {
    for (const std::string& section : config_sections()) {
      if (!section.ends_with(".*"))
        read_section(section, section, root.get_as<toml::table>(section), {load_.config});
    }
    read_nodes(root);
    read_tables(root);
    for (const auto& [key, node] : root)
      check_section(std::string(key.str()), position_of(key.source()), node);
  }

 private:
  void check_section(const std::string& name, SourcePosition at, const toml::node& node) {
    std::vector<std::string> known;
    for (const std::string& section : config_sections())
      known.push_back(section.substr(0, section.find('.')));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = find_nearest_word(name, known);
      std::string message = fmt::format("unknown {} \"{}\"", node.is_table() ? "section" : "key", name);
      if (!nearest.empty()) message += fmt::format("; did you mean [{}]?", nearest);
      if (nearest.empty()) message += advise_other_section(name, "");
      load_.errors.add(at, message);
    } else if (!node.is_table()) {
      load_.errors.add(at, fmt::format("expected the section [{}], got a single value", name));
    }
  }

  void read_nodes(const toml::table& root) {
    const toml::table* nodes = root.get_as<toml::table>("nodes");
    if (nodes == nullptr) return;
    for (const auto& [name, node] : in_file_order(*nodes)) {
      load_.config.nodes.emplace_back();
      NodeConfig& entry = load_.config.nodes.back();
      entry.address.name = name;
      read_named("nodes", name, *node, {load_.config, &entry, nullptr});
    }
  }

  void read_tables(const toml::table& root) {
    const toml::table* tables = root.get_as<toml::table>("tables");
    if (tables == nullptr) return;
    for (const auto& [name, node] : in_file_order(*tables)) {
      load_.config.tables.emplace_back();
      TableConfig& entry = load_.config.tables.back();
      entry.name = name;
      read_named("tables", name, *node, {load_.config, nullptr, &entry});
    }
  }

  void read_named(const std::string& kind, const std::string& name, const toml::node& node,
                  ConfigTarget target) {
    const std::string full_name = kind + "." + name;
    load_.config.positions[full_name] = position_of(node.source());
    if (!node.is_table()) {
      load_.errors.add(position_of(node.source()),
                       fmt::format("expected a section [{}], got a single value", full_name));
      return;
    }
    read_section(kind + ".*", full_name, node.as_table(), target);
  }

  void read_section(const std::string& section, const std::string& full_name, const toml::table* table,
                    ConfigTarget target) {
    if (table != nullptr) {
      load_.config.positions.emplace(full_name, position_of(table->source()));
      for (const auto& [key, node] : *table) read_key(section, full_name, key, node, target);
    }
    for (const ConfigKey& key : config_keys()) {
      if (key.section == section && (table == nullptr || !table->contains(key.name)))
        apply_default(key, full_name, target);
    }
  }

  void read_key(const std::string& section, const std::string& full_section, const toml::key& key,
                const toml::node& node, ConfigTarget target) {
    const std::string name(key.str());
    const ConfigKey* known = find_config_key(section, name);
    if (known == nullptr) {
      load_.errors.add(position_of(key.source()), fmt::format("unknown key \"{}\" in [{}]{}", name,
                                                              full_section, advise_key(section, name)));
      return;
    }
    const std::string full_name = full_section + "." + name;
    load_.config.positions[full_name] = position_of(key.source());
    const ConfigReading reading = read_config_value(known->limits, node);
    if (const auto* message = std::get_if<std::string>(&reading)) {
      load_.errors.add(position_of(node.source()), fmt::format("{}: {}", full_name, *message));
      return;
    }
    apply(*known, full_name, std::get<ConfigValue>(reading), target);
  }

  void apply_default(const ConfigKey& key, const std::string& full_section, ConfigTarget target) {
    const std::string full_name = fmt::format("{}.{}", full_section, key.name);
    if (key.default_toml == kNoDefault) return;
    if (key.default_toml == kRequired) {
      const auto at = load_.config.positions.find(full_section);
      load_.errors.add(at == load_.config.positions.end() ? SourcePosition{} : at->second,
                       fmt::format("missing key \"{}\" in [{}]: {} ({})", key.name, full_section,
                                   describe_expected(key.limits), key.doc));
      return;
    }
    const toml::table parsed = toml::parse(fmt::format("default = {}", key.default_toml));
    apply(key, full_name, std::get<ConfigValue>(read_config_value(key.limits, *parsed.get("default"))),
          target);
  }

  void apply(const ConfigKey& key, const std::string& full_name, const ConfigValue& value,
             ConfigTarget target) {
    key.apply(target, value);
    load_.config.values[full_name] = to_toml(key.limits.type, value);
  }

  static std::string advise_key(const std::string& section, const std::string& name) {
    std::vector<std::string> known;
    for (const ConfigKey& key : config_keys()) {
      if (key.section == section) known.emplace_back(key.name);
    }
    // The very word in another section says more than a near one in this.
    std::string advice = advise_other_section(name, section);
    if (!advice.empty()) return advice;
    const std::string nearest = find_nearest_word(name, known);
    if (!nearest.empty()) return fmt::format("; did you mean \"{}\"?", nearest);
    return fmt::format("; it takes {}", fmt::join(known, ", "));
  }

  static std::string advise_other_section(const std::string& name, const std::string& section) {
    for (const ConfigKey& key : config_keys()) {
      if (key.name == name && key.section != section && !key.section.ends_with(".*"))
        return fmt::format("; it belongs in [{}]", key.section);
    }
    return "";
  }

  ConfigLoad& load_;
};

// False: it is no TOML, so that nothing more can be said of it.
bool parse_into(ConfigLoad& load, std::string_view text, const std::string& path) {
  load.config.path = path;
  std::error_code ignored;  // falls back to the path as it is: only relative paths inside the file notice
  const auto absolute = std::filesystem::absolute(path, ignored);
  load.config.folder =
      (ignored ? std::filesystem::path(path) : absolute).parent_path().lexically_normal().string();
  try {
    const toml::table root = toml::parse(text);
    Reader(load).read(root);
  } catch (const toml::parse_error& error) {
    load.errors.add(position_of(error.source()), fmt::format("not valid TOML: {}", error.description()));
    return false;
  }
  complete_config(load.config);
  check_config(load.config, load.errors);
  return true;
}

}  // namespace

ConfigLoad parse_config(std::string_view text, const std::string& path) {
  ConfigLoad load;
  parse_into(load, text, path);
  return load;
}

ConfigLoad load_config(const std::string& path) {
  ConfigLoad load;
  load.config.path = path;
  std::error_code status_error;
  const bool is_folder = std::filesystem::is_directory(path, status_error);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (is_folder || !file || !(text << file.rdbuf())) {
    const std::string reason = is_folder ? "it is a folder" : file ? "it is empty" : std::strerror(errno);
    load.errors.add({}, fmt::format("cannot read the configuration file: {}", reason));
    return load;
  }
  if (parse_into(load, text.str(), path)) check_files(load.config, load.errors, load.warnings);
  return load;
}

}  // namespace mosaic::admin
