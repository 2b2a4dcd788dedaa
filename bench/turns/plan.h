#pragma once
// What `turns` is told to do, as a JSON file: targets, what is read through each, how long. The shape is that
// of the structs, field by field.

#include <cstdint>
#include <string>
#include <vector>

namespace mosaic::turns {

enum class Protocol : uint8_t { kSimple, kExtended, kPrepared };

// Rows to read: one key of one table, as the target knows it.
struct Table {
  std::string name;
  std::vector<int64_t> keys;
};

// A database of a target. Each client has a connection to each of them and reads through the one where the
// row is: so an application that shards by itself is told from one that need not.
struct Database {
  std::string name;
  std::vector<Table> tables;
};

struct Target {
  std::string name;
  Protocol protocol = Protocol::kSimple;
  uint16_t port = 0;  // on 127.0.0.1; trusts `user`
  std::string user;
  int pid = 0;  // whose processor time is told; 0: nobody's
  std::vector<Database> databases;
};

struct Plan {
  uint32_t clients = 1;
  uint32_t rounds = 1;
  double settle_s = 0;   // of each target before the first round: its backends meet their tables
  double warm_up_s = 0;  // at the start of each turn, not counted
  double window_s = 0;   // counted
  uint64_t seed = 1;
  std::vector<Target> targets;
};

// Throws std::runtime_error that names the file and what is wrong with it.
Plan read_plan(const std::string& path);

}  // namespace mosaic::turns
