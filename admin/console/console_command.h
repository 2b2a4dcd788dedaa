#pragma once
// What an operator typed, understood. Pure: knows the grammar, not the views' contents.
//
//   SHOW view [WHERE column = value] [ORDER BY column [ASC|DESC]] [LIMIT n]
//   EXPLAIN ROUTE statement
//   MOVE SHARD ... (see move_command.h)
//   ADD NODE name [DRY RUN] | REMOVE NODE name [DRY RUN]
//   RELOAD | SHUTDOWN [WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS] | SET name = value | BEGIN | COMMIT | ROLLBACK

#include <optional>
#include <string>
#include <string_view>

#include "admin/console/view_table.h"
#include "admin/move/move_command.h"
#include "admin/node_change.h"
#include "routing/result.h"

namespace mosaic::admin {

struct ViewFilter {
  std::string where_column;  // empty: no condition
  std::string where_value;
  std::string order_column;  // empty: as the view comes
  bool is_descending = false;
  std::optional<uint64_t> limit;
};

struct ConsoleCommand {
  enum class Kind : uint8_t {
    kEmpty,
    kShow,
    kExplainRoute,
    kReload,
    kChangeNode,
    kMove,
    kShutdown,         // at once
    kShutdownServers,  // WAIT_FOR_SERVERS
    kShutdownClients,  // WAIT_FOR_CLIENTS
    kIgnored,          // SET of what drivers set at connect, BEGIN, COMMIT ...: accepted, nothing happens
  };
  Kind kind = Kind::kEmpty;
  std::string view;       // kShow: lower case
  ViewFilter filter;      // kShow
  std::string statement;  // kExplainRoute, kMove: verbatim
  NodeChange change;      // kChangeNode
  MoveCommand move;       // kMove
  std::string tag;        // kIgnored: the CommandComplete tag
};

// Errors: kSyntaxError with what the console understands.
routing::Result<ConsoleCommand> parse_console_command(std::string_view text);

// Keeps the rows that fit, sorts (numbers by value), cuts. Errors: a column that the view does not have.
routing::Status apply_filter(const ViewFilter& filter, ViewTable& table);

}  // namespace mosaic::admin
