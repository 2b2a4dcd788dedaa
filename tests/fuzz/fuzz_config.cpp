// Any bytes as a configuration file. The loader must name what is wrong with its line, give a whole config
// when nothing is, and say the same every time. The text is bounded, so the memory that a file may cost is
// libFuzzer's -rss_limit_mb.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "admin/config/config_keys.h"
#include "admin/config/config_loader.h"
#include "tests/fuzz/require.h"

namespace {

using namespace mosaic::admin;

void check_errors(const ConfigLoad& load, std::string_view text) {
  const auto lines = static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  uint32_t previous_line = 0;
  for (const ConfigError& error : load.errors.sorted()) {
    require(!error.message.empty());
    require(error.at.line <= lines);
    require(error.at.line == 0 || error.at.column > 0);
    require(error.at.line >= previous_line);
    previous_line = error.at.line;
    // Only what the file does not say at all has no line of its own.
    if (error.at.line == 0)
      require(error.message.starts_with("missing key") || error.message.starts_with("expected at least one"));
  }
}

void check_config(const Config& config) {
  require(!config.nodes.empty() && config.nodes.size() == config.proxy.nodes.size());
  require(!config.proxy.database.empty());
  require(config.shards.count > 0);
  for (const NodeConfig& node : config.nodes) require(!node.address.host.empty() && node.address.port > 0);
  for (const auto& [name, shown] : config.values) {
    const ConfigKey* key = find_config_key_of(name);
    require(key != nullptr);
    const bool is_secret = key->limits.type == ConfigType::kSecret;
    require(!is_secret || shown == "\"\"" || shown == "\"***\"");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kTextBytesMax = 16 << 10;
  if (size > kTextBytesMax) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ConfigLoad load = parse_config(text, "/etc/mosaic/fuzz.toml");
  check_errors(load, text);
  if (load.errors.is_empty()) check_config(load.config);
  const ConfigLoad again = parse_config(text, "/etc/mosaic/fuzz.toml");
  require(again.errors.to_text("x") == load.errors.to_text("x"));
  require(again.config.values == load.config.values);
  return 0;
}
