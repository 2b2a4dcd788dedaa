#include "admin/config/config_value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <string_view>

namespace mosaic::admin {

namespace {

struct ByteUnit {
  std::string_view name;
  int64_t bytes;
};
// The largest first: what to_toml prefers to write.
constexpr std::array<ByteUnit, 4> kByteUnits = {
    {{"GiB", int64_t{1} << 30}, {"MiB", int64_t{1} << 20}, {"KiB", int64_t{1} << 10}, {"B", 1}}};

std::optional<int64_t> parse_byte_size(std::string_view text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const ByteUnit& known : kByteUnits) {
    if (unit != known.name) continue;
    if (count > INT64_MAX / known.bytes) return std::nullopt;
    return count * known.bytes;
  }
  return std::nullopt;
}

std::string seconds_text(int64_t milliseconds) {
  if (milliseconds % 1000 == 0) return fmt::format("{}", milliseconds / 1000);
  std::string text = fmt::format("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
  while (text.back() == '0') text.pop_back();
  return text;
}

std::string bytes_text(int64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0 && unit.bytes > 1)
      return fmt::format("\"{}{}\"", bytes / unit.bytes, unit.name);
  }
  return fmt::format("{}", bytes);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const size_t bar = choices.find('|');
    if (choices.substr(0, bar) == text) return true;
    if (bar == std::string_view::npos) break;
    choices.remove_prefix(bar + 1);
  }
  return false;
}

std::optional<ConfigValue> read_number(ConfigType type, const toml::node& node) {
  ConfigValue value;
  if (const auto* integer = node.as_integer()) {
    value.number = integer->get();
    if (type == ConfigType::kSeconds) {
      if (std::abs(value.number) > INT64_MAX / 1000) return std::nullopt;
      value.number *= 1000;
    }
    return value;
  }
  if (type == ConfigType::kSeconds && node.is_floating_point()) {
    const double seconds = node.as_floating_point()->get();
    if (!std::isfinite(seconds) || std::abs(seconds) > 1e12) return std::nullopt;
    value.number = std::llround(seconds * 1000);
    return value;
  }
  if (type == ConfigType::kBytes && node.is_string()) {
    const auto bytes = parse_byte_size(node.as_string()->get());
    if (!bytes) return std::nullopt;
    value.number = *bytes;
    return value;
  }
  return std::nullopt;
}

std::string describe_found(const toml::node& node) {
  std::ostringstream text;
  text << toml::node_view<const toml::node>(node);
  std::string found = node.is_string() ? quoted(node.as_string()->get()) : text.str();
  constexpr size_t kShownMax = 60;
  if (found.size() > kShownMax) found = found.substr(0, kShownMax) + "...";
  return found;
}

}  // namespace

std::string describe_expected(const ConfigLimits& limits) {
  switch (limits.type) {
    case ConfigType::kInteger:
      return fmt::format("a whole number from {} to {}", limits.min, limits.max);
    case ConfigType::kSeconds:
      return fmt::format("seconds from {} to {}, such as 30 or 0.5", seconds_text(limits.min),
                         seconds_text(limits.max));
    case ConfigType::kBytes:
      return fmt::format("a size from {} to {}: bytes, or text such as \"16MiB\"", bytes_text(limits.min),
                         bytes_text(limits.max));
    case ConfigType::kBool:
      return "true or false";
    case ConfigType::kText:
    case ConfigType::kSecret:
      return "text in quotes";
    case ConfigType::kPath:
      return "a path in quotes";
    case ConfigType::kTextList:
      return "a list of texts, such as [\"app\"]";
    case ConfigType::kChoice: {
      std::string names = "\"";
      for (const char c : std::string_view(limits.choices))
        names += c == '|' ? std::string("\" or \"") : std::string(1, c);
      return names + "\"";
    }
  }
  return "";
}

ConfigReading read_config_value(const ConfigLimits& limits, const toml::node& node) {
  const auto refuse = [&] {
    const std::string found = limits.type == ConfigType::kSecret ? "something else" : describe_found(node);
    return fmt::format("expected {}, got {}", describe_expected(limits), found);
  };
  ConfigValue value;
  switch (limits.type) {
    case ConfigType::kInteger:
    case ConfigType::kSeconds:
    case ConfigType::kBytes: {
      const auto number = read_number(limits.type, node);
      if (!number || number->number < limits.min || number->number > limits.max) return refuse();
      return *number;
    }
    case ConfigType::kBool:
      if (!node.is_boolean()) return refuse();
      value.number = node.as_boolean()->get() ? 1 : 0;
      return value;
    case ConfigType::kTextList: {
      const toml::array* array = node.as_array();
      if (array == nullptr) return refuse();
      for (const toml::node& element : *array) {
        if (!element.is_string()) return refuse();
        value.list.push_back(element.as_string()->get());
      }
      return value;
    }
    case ConfigType::kChoice:
    case ConfigType::kText:
    case ConfigType::kPath:
    case ConfigType::kSecret:
      break;
  }
  if (!node.is_string()) return refuse();
  value.text = node.as_string()->get();
  if (limits.type == ConfigType::kChoice && !is_choice(limits.choices, value.text)) return refuse();
  // A zero byte would cut the text in every C interface behind us.
  if (value.text.find('\0') != std::string::npos) return refuse();
  return value;
}

std::string to_toml(ConfigType type, const ConfigValue& value) {
  switch (type) {
    case ConfigType::kInteger:
      return fmt::format("{}", value.number);
    case ConfigType::kSeconds:
      return seconds_text(value.number);
    case ConfigType::kBytes:
      return bytes_text(value.number);
    case ConfigType::kBool:
      return value.number != 0 ? "true" : "false";
    case ConfigType::kSecret:
      return value.text.empty() ? "\"\"" : "\"***\"";
    case ConfigType::kText:
    case ConfigType::kPath:
    case ConfigType::kChoice:
      return quoted(value.text);
    case ConfigType::kTextList:
      break;
  }
  std::string text = "[";
  for (const std::string& element : value.list) text += (text.size() > 1 ? ", " : "") + quoted(element);
  return text + "]";
}

}  // namespace mosaic::admin
