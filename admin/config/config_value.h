#pragma once
// The value of one key, read by the type that the key table gives it. Knows TOML and units, no key.

#include <toml++/toml.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace mosaic::admin {

enum class ConfigType : uint8_t {
  kInteger,
  kSeconds,  // integer or float; held as milliseconds
  kBytes,    // integer, or text with KiB, MiB, GiB; held as bytes
  kBool,
  kText,
  kChoice,  // one of the key's choices
  kPath,    // text; made absolute by whoever applies it
  kSecret,  // text that is never shown
  kTextList,
};

struct ConfigValue {
  int64_t number = 0;  // kInteger, kSeconds (ms), kBytes, kBool
  std::string text;
  std::vector<std::string> list;
  bool operator==(const ConfigValue&) const = default;

  uint32_t u32() const { return static_cast<uint32_t>(number); }
  uint64_t u64() const { return static_cast<uint64_t>(number); }
};

// What a key accepts. min and max bound `number` (milliseconds for seconds).
struct ConfigLimits {
  ConfigType type = ConfigType::kText;
  int64_t min = 0;
  int64_t max = 0;
  const char* choices = "";  // kChoice: "a|b|c"
};

// Either a value or a sentence "expected ..., got ...".
using ConfigReading = std::variant<ConfigValue, std::string>;
ConfigReading read_config_value(const ConfigLimits& limits, const toml::node& node);

// "a whole number from 1 to 65535": what the key accepts, for messages and the documentation.
std::string describe_expected(const ConfigLimits& limits);

// As it would stand in a file: 0.5, "16MiB", ["app"]. Secrets become "***".
std::string to_toml(ConfigType type, const ConfigValue& value);

}  // namespace mosaic::admin
