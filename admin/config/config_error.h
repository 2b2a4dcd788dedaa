#pragma once
// What is wrong with a configuration file, all of it at once: an operator mends a file in one round.

#include <string>
#include <utility>
#include <vector>

#include "admin/config/config.h"

namespace mosaic::admin {

struct ConfigError {
  SourcePosition at;  // line 0: about the file as a whole
  std::string message;
};

class ConfigErrors {
 public:
  void add(SourcePosition at, std::string message) { errors_.push_back({at, std::move(message)}); }
  bool is_empty() const { return errors_.empty(); }
  size_t size() const { return errors_.size(); }
  // In the file's order.
  std::vector<ConfigError> sorted() const;
  // "path:line:column: message", one line each.
  std::string to_text(const std::string& path) const;

 private:
  std::vector<ConfigError> errors_;
};

}  // namespace mosaic::admin
