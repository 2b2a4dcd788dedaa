#pragma once
// The commands of the command line, each in its own file; called by proxy/main.cpp. They return the exit
// code: 0 success, 1 the world said no (told on stderr).

#include <string>

#include "admin/init/init_options.h"

namespace mosaic::admin {

struct InitCommand {
  std::string schema_path;  // empty: none
  InitOptions options;
};

struct RouteOptions {
  std::string statement;
  bool is_offline = false;
};

struct MoveCommandLine {
  std::string command;  // as on the console
  bool waits = false;   // until the moves that it begins have switched
};

int check_command(const std::string& config_path);
int init_command(const std::string& config_path, InitCommand command);
int move_command(const std::string& config_path, const MoveCommandLine& line);
int route_command(const std::string& config_path, const RouteOptions& options);
int run_command(const std::string& config_path);

}  // namespace mosaic::admin
