#pragma once
// Watches Mosaic's console while the workload runs, on a thread of its own: how many clients there were, and
// how many server connections they needed, at most.

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace mosaic::workload {

// "address:port" of a node -> the server processes of the connections to it (SHOW SERVERS).
using ServerReading = std::map<std::string, std::set<std::string>>;

// Connections that both readings show, so that they were there together: a reading goes from worker to
// worker, and by itself shows one that passed from one to another, or was replaced meanwhile, twice.
std::map<std::string, uint64_t> count_lasting(const ServerReading& earlier, const ServerReading& later);

struct ConsolePeaks {
  uint64_t clients = 0;                     // of all pools together (SHOW POOLS)
  std::map<std::string, uint64_t> servers;  // "address:port" -> connections, as count_lasting() counts
  std::string error;                        // the console could not be read; then the rest is incomplete
};

class ConsoleWatch {
 public:
  // Polls from now on. `database`: whose pools count.
  ConsoleWatch(std::string conninfo, std::string database);

  // Stops watching; the peaks since the construction.
  ConsolePeaks stop();

 private:
  void watch(const std::stop_token& stop);

  std::string conninfo_;
  std::string database_;
  std::mutex mutex_;
  ConsolePeaks peaks_;
  std::jthread thread_;  // last: it uses all of the above
};

// Opens the console, reads SHOW VERSION and closes it. Throws std::runtime_error.
std::string read_version(const std::string& conninfo);

}  // namespace mosaic::workload
