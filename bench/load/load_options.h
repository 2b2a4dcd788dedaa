#pragma once
// The command line of photo_load.

#include <cstdint>
#include <string>

#include "bench/workload/arrivals.h"
#include "bench/workload/operation_mix.h"
#include "bench/workload/statement.h"

namespace mosaic::workload {

struct LoadOptions {
  std::string conninfo = "host=127.0.0.1 port=6432 dbname=photos user=app password=app";
  bool is_unsharded = false;  // the target is one PostgreSQL, or a pooler before it: tables in public
  std::string label;          // of the run, for the reader of the JSON
  double rate = 0;            // operations per second over all clients
  ArrivalPattern arrivals = ArrivalPattern::kPoisson;
  uint32_t connections = 64;
  uint32_t threads = 1;
  QueryMode mode = QueryMode::kExtended;
  double warm_up_s = 5;
  double duration_s = 30;
  double interval_s = 1;
  uint64_t users = 3000;
  int64_t first_user = 1;
  uint32_t photos_per_user = 2;  // uploaded before the run
  double zipf = 1.0;
  OperationMix mix;
  uint64_t seed = 1;
  double statement_timeout_s = 30;
  std::string json_file;
  std::string series_file;  // a line for each interval, when it is over
};

// The options, or the exit code to leave with when they are wrong or ask for help.
struct ParsedLoadOptions {
  bool is_ok = false;
  int exit_code = 0;
  LoadOptions options;
};
ParsedLoadOptions parse_load_options(int count, const char* const* arguments);

}  // namespace mosaic::workload
