#pragma once
// One move as the catalog keeps it: what was asked for, how far it is, what is to be remembered. Plain
// values.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "admin/move/move_machine.h"
#include "proxy/moving_counts.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::admin {

// WITH (...) of MOVE.
struct MoveOptions {
  enum class Verify : uint8_t { kFull, kSample, kOff };
  uint32_t parallel = 2;       // connections that copy
  uint64_t rate_bytes = 0;     // copied per second; 0: no limit
  uint64_t soak_ms = 600'000;  // how long the way back is kept
  Verify verify = Verify::kFull;
  bool is_rehearsal = false;  // all of it but the switch, and then taken away again
};

// What one side of a move must know to be closed and opened; read of the source when it is prepared.
struct MoveTable {
  std::string name;    // as in pg_class.relname
  uint64_t bytes = 0;  // of its heap
  uint64_t pages = 0;
  bool has_key = false;          // a primary key
  bool is_binary = false;        // all its types have the same OID everywhere
  std::vector<std::string> key;  // columns of the primary key
};

// Made by one mover, needed by whoever goes on.
struct MoveFacts {
  std::vector<MoveTable> tables;
  std::vector<std::string> sequences;
  std::string post_data;    // SQL: indexes, constraints, triggers
  std::string fingerprint;  // of the schema when that was read
  // SQL: of the schema's use; of its sequences; of its tables and views.
  std::string grant_use, revoke_use, grant_write, revoke_write, grant_read, revoke_read;
  std::string switched_lsn;  // of the target, when it was opened
  bool has_way_back = false;
};

// What an operator sees; also of a move that is over. Times in microseconds.
struct MoveProgress {
  uint64_t rows = 0, bytes = 0, bytes_total = 0;
  uint64_t rate_bytes = 0;                   // per second, of late
  uint64_t marker_us = 0;                    // the latest round trip of a marker
  uint64_t retained_wal_bytes = 0;           // that the slot keeps on the source
  uint64_t write_pause_us = 0;               // from the hold until the map was flipped
  std::map<std::string, uint64_t> pause_us;  // its parts: hold, drain, close, catch_up, open, flip
  uint64_t read_pause_us = 0;  // from when reads were refused on the source until the map was flipped
  uint64_t attempts = 0;       // of the cutover
  uint64_t warmed_bytes = 0;   // read on the target ahead of the switch
  uint64_t compared_rows = 0;
  uint64_t differences = 0;
  uint64_t busy_buckets = 0;  // of a 256th of a table each, that changed whenever they were compared
  std::string blockers;       // who keeps it waiting
  std::map<std::string, uint64_t> phase_us;  // by state
};

struct MoveRow {
  uint64_t id = 0;
  routing::ShardId shard;
  std::string source, target;
  MoveState state = MoveState::kPlanned;
  std::string wish;  // "", "pause", "cancel", "undo", "finish"
  MoveOptions options;
  MoveFacts facts;
  MoveProgress progress;
  std::string message;         // why it waits, or why it ended
  std::string mover;           // the proxy that works on it
  uint64_t lease = 0;          // its token
  bool is_leased = false;      // it has told of itself lately
  proxy::MovingCounts counts;  // of all proxies
  std::string created_at, changed_at, finished_at;
  uint64_t in_state_ms = 0;
};

// For the catalog's jsonb columns.
std::string to_json(const MoveOptions& options);
std::string to_json(const MoveFacts& facts);
std::string to_json(const MoveProgress& progress);
std::string to_json(const proxy::MovingCounts& counts);
// {"proxy": counts, ...}, added up.
routing::Status read_counts(std::string_view json, proxy::MovingCounts& counts);
routing::Status read_json(std::string_view options, std::string_view facts, std::string_view progress,
                          MoveRow& row);

// ["a", "b"]
routing::Status read_names(std::string_view json, std::vector<std::string>& names);

std::string_view to_text(MoveOptions::Verify verify);

}  // namespace mosaic::admin
