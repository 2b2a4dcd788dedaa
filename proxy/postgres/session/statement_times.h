#pragma once
// What a session knows of the statement at hand, for whoever asks what it does, and of a slow one, for the
// log. Times are microseconds of the TurnClock.

#include <cstdint>

#include "routing/ids.h"
#include "routing/postgres/shape_use.h"

namespace mosaic::proxy {

// The statement that is looked at, waits or runs; between statements the last one.
struct StatementTimes {
  routing::ShapeUseRef use;
  bool is_noted = false;              // and neither sent nor answered yet
  uint64_t began_us = 0;              // 0: between statements
  uint64_t waiting_us = 0;            // since when it waits for a server; 0: it does not
  uint64_t waited_us = 0;             // how long it has
  uint64_t held_back_us = 0;          // how long its server was not read from, for the client did not read
  uint64_t last_answer_us = 0;        // when the server ended the statement before: the next began then
  uint64_t transaction_began_us = 0;  // of the transaction, while one is open
};

// One that took log_min_duration or longer.
struct SlowStatement {
  routing::ShapeUseRef use;
  routing::NodeId node;
  int shard = -1;
  uint64_t waited_us = 0;  // for a server connection
  uint64_t server_us = 0;
  uint64_t client_us = 0;  // the client did not read its reply
  bool has_failed = false;
};

}  // namespace mosaic::proxy
