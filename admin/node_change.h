#pragma once
// ADD NODE and REMOVE NODE, as typed.

#include <functional>
#include <string>

namespace mosaic::admin {

struct NodeChange {
  std::string node;
  bool is_removal = false;
  bool is_dry_run = false;
};

// Is told what a long command does, line by line, as it does it.
using Say = std::function<void(const std::string&)>;

}  // namespace mosaic::admin
