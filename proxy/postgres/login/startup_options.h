#pragma once
// The `options` startup parameter: settings written as command-line switches (PGOPTIONS='-c
// statement_timeout=5s').

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/result.h"

namespace mosaic::proxy {

using Setting = std::pair<std::string, std::string>;  // name in lower case, value as given

// Reads `-c name=value`, `-cname=value` and `--name=value`, separated by white space, a backslash taking the
// next character as it is. Errors: every other switch, and a setting without a value.
routing::Result<std::vector<Setting>> parse_startup_options(std::string_view options);

}  // namespace mosaic::proxy
