#pragma once
// The workload's command line.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/workload/cluster_map.h"
#include "bench/workload/statement.h"

namespace mosaic::workload {

// The value of --mode. Throws CLI::ValidationError for what is none.
QueryMode parse_mode(const std::string& text);

struct Options {
  std::string conninfo = "host=127.0.0.1 port=6432 dbname=photos user=app password=app";
  uint32_t connections = 64;
  uint32_t threads = 1;
  std::vector<QueryMode> modes{std::begin(kQueryModes), std::end(kQueryModes)};
  double duration_s = 5;    // per mode
  uint64_t operations = 0;  // per mode; 0: by duration
  uint64_t users = 3000;
  int64_t first_user = 0;  // 0: from the clock, so that runs do not meet
  double zipf = 1.0;
  uint64_t seed = 1;
  double statement_timeout_s = 30;

  bool is_unsharded = false;  // the target is a plain PostgreSQL: tables in public
  bool checks = false;
  std::vector<ClusterNode> nodes;
  std::string catalog;       // conninfo; empty: the first node
  std::string console;       // conninfo; empty: not watched
  uint32_t servers_max = 0;  // more server connections on a node are a failure; 0: no limit
  bool tolerates_errors = false;
  std::string json_file;
  std::string busy_file;  // empty: none
};

// Reads the command line. Returns no options, but the exit code to leave with, when it is wrong or asks for
// help.
struct ParsedOptions {
  bool is_ok = false;
  int exit_code = 0;
  Options options;
};
ParsedOptions parse_options(int count, char** arguments);

}  // namespace mosaic::workload
