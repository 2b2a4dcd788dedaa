#include <fmt/format.h>

#include <iostream>

#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/console/console_command.h"
#include "admin/move/move_service.h"
#include "admin/route_explanation.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;

// The command, and the moves that it has begun, by what is said of them.
Result<MoveCommand> understand(const std::string& text) {
  auto command = parse_console_command(text);
  if (!command) return command.error();
  if (command->kind == ConsoleCommand::Kind::kMove) return std::move(command->move);
  return Error{routing::sqlstate::kSyntaxError, fmt::format("\"{}\" is no command about moves", text), "",
               "expected what the console takes: MOVE SHARD 42 TO pg2, CHECK MOVE ..., DRAIN NODE ..., UNDO "
               "MOVE 7 ..."};
}

}  // namespace

// 0: done, or begun where it is not waited for; 1: refused, or the move was given up; 2: the command line.
int move_command(const std::string& config_path, const MoveCommandLine& line) {
  const ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  const auto command = understand(line.command);
  if (!command) {
    std::cerr << error_lines(command.error());
    return 2;
  }
  const auto config = std::make_shared<const Config>(load.config);
  MoveService moves([config] { return config; });
  StopSignal stop;
  std::vector<uint64_t> begun;
  const Say say = [](const std::string& text) { std::cout << text << std::endl; };
  routing::Status status = moves.run(*command, say, stop, &begun);
  if (status && line.waits && !begun.empty()) {
    MoveCommand wait;
    wait.kind = MoveCommand::Kind::kWait;
    wait.moves = std::move(begun);
    status = moves.run(wait, say, stop);
  }
  if (status) return 0;
  std::cerr << error_lines(status.error());
  return 1;
}

}  // namespace mosaic::admin
