#pragma once
// What keeps a shard from being moved, found before anything is made: all of it at once, each with the line
// to type. CHECK MOVE shows it; a move begins with it.

#include <string>
#include <vector>

#include "admin/move/move_nodes.h"
#include "admin/move/schema_dump.h"

namespace mosaic::admin {

struct MoveFinding {
  bool is_blocking = true;
  std::string what;       // "table likes has no primary key"
  std::string hint;       // what to type, or to do
  bool may_pass = false;  // other moves take what is lacking, and give it back
};

// `schema`: of the shard. Tries the definitions on the target, and takes them back. Errors: a node that can
// not be asked.
routing::Result<std::vector<MoveFinding>> find_obstacles(MoveNodes& nodes, const std::string& schema);

}  // namespace mosaic::admin
