#include <iostream>

#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"

namespace mosaic::admin {

int check_command(const std::string& config_path) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  std::cout << "ok\n";
  return 0;
}

}  // namespace mosaic::admin
