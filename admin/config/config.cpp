#include "admin/config/config.h"

#include <algorithm>

namespace mosaic::admin {

const NodeConfig* Config::find_node(const std::string& name) const {
  const auto at = std::find_if(nodes.begin(), nodes.end(),
                               [&](const NodeConfig& node) { return node.address.name == name; });
  return at == nodes.end() ? nullptr : &*at;
}

}  // namespace mosaic::admin
