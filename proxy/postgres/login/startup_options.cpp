#include "proxy/postgres/login/startup_options.h"

#include <fmt/format.h>

#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

using routing::Error;
using routing::Result;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// PostgreSQL's pg_split_opts: no quotes, only backslashes.
std::vector<std::string> split(std::string_view options) {
  std::vector<std::string> words;
  bool is_in_word = false;
  for (size_t i = 0; i < options.size(); ++i) {
    if (is_space(options[i])) {
      is_in_word = false;
      continue;
    }
    if (!is_in_word) words.emplace_back();
    is_in_word = true;
    if (options[i] == '\\' && ++i == options.size()) break;
    words.back() += options[i];
  }
  return words;
}

Error refuse(std::string_view word, std::string_view why) {
  return Error{routing::sqlstate::kSyntaxError, fmt::format("can not use startup option \"{}\"", word),
               std::string(why), "options may hold -c name=value and --name=value"};
}

}  // namespace

Result<std::vector<Setting>> parse_startup_options(std::string_view options) {
  std::vector<Setting> settings;
  const std::vector<std::string> words = split(options);
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    std::string_view assignment = word;
    if (word == "-c") {
      if (++i == words.size()) return refuse(word, "nothing follows it");
      assignment = words[i];
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      assignment.remove_prefix(2);
    } else {
      return refuse(word, "a switch that is no setting");
    }
    const size_t equals = assignment.find('=');
    if (equals == std::string_view::npos || equals == 0) return refuse(word, "expected name=value");
    Setting& setting = settings.emplace_back(assignment.substr(0, equals), assignment.substr(equals + 1));
    for (char& c : setting.first) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (c == '-') c = '_';  // as PostgreSQL's ParseLongOption
    }
  }
  return settings;
}

}  // namespace mosaic::proxy
