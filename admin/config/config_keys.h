#pragma once
// The one table of all configuration keys. Reading, defaults, the nearest-key advice, SHOW CONFIG, RELOAD and
// the test of conf/full.toml are all driven by it: to add a key, add a row here and a line to conf/full.toml.

#include <span>
#include <string>
#include <string_view>

#include "admin/config/config.h"
#include "admin/config/config_value.h"

namespace mosaic::admin {

// What a row writes to: `node` and `table` are set for the sections nodes.* and tables.*.
struct ConfigTarget {
  Config& config;
  NodeConfig* node = nullptr;
  TableConfig* table = nullptr;
};

struct ConfigKey {
  std::string_view section;  // "pool", or "nodes.*" for [nodes.NAME]
  std::string_view name;
  ConfigLimits limits;
  std::string_view default_toml;  // as TOML; kRequired or kNoDefault
  bool is_reloadable = false;
  std::string_view doc;  // one sentence; the unit is told by the type
  void (*apply)(ConfigTarget& target, const ConfigValue& value) = nullptr;
};

inline constexpr std::string_view kRequired = "required";  // no default: the file must say it
inline constexpr std::string_view kNoDefault = "none";     // may be absent; absent means what `doc` says

std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view section, std::string_view name);
// "pool", "nodes.*" ...: each section once, in the order of the table.
std::span<const std::string> config_sections();
// The key that a full name such as "nodes.pg1.port" belongs to.
const ConfigKey* find_config_key_of(std::string_view full_name);

}  // namespace mosaic::admin
