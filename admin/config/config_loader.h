#pragma once
// From a TOML file to a Config, by the key table: unknown keys, types, ranges, defaults, then the checks of
// config_checks. Touches the disk for the file itself (and whatever it names), never the network.

#include <string>
#include <string_view>

#include "admin/config/config.h"
#include "admin/config/config_error.h"

namespace mosaic::admin {

struct ConfigLoad {
  Config config;  // complete only when there are no errors
  ConfigErrors errors;
  ConfigErrors warnings;  // what starts, and is hardly meant
};

// Reads, parses and checks the file. All errors at once, except that a TOML syntax error comes alone: what
// stands behind it can not be told.
ConfigLoad load_config(const std::string& path);

// The same for a text that stands for the file `path`; without the checks that look at other files. For tests
// and the fuzzer.
ConfigLoad parse_config(std::string_view text, const std::string& path);

}  // namespace mosaic::admin
