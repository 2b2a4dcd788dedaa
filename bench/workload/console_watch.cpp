#include "bench/workload/console_watch.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <stdexcept>

#include "bench/workload/connection.h"

namespace mosaic::workload {

namespace {

constexpr std::chrono::milliseconds kInterval{250};

// By name: the order of the columns belongs to PgBouncer.
std::string cell(const PGresult* rows, int row, const char* column) {
  const int number = PQfnumber(rows, column);
  if (number < 0) throw std::runtime_error(std::string("the console's answer has no column ") + column);
  return PQgetvalue(rows, row, number);
}

uint64_t count_clients(PGconn* console, const std::string& database) {
  const ResultPtr pools = execute_blocking(console, "SHOW POOLS");
  uint64_t clients = 0;
  for (int row = 0; row < PQntuples(pools.get()); ++row) {
    if (cell(pools.get(), row, "database") != database) continue;
    clients +=
        std::stoull(cell(pools.get(), row, "cl_active")) + std::stoull(cell(pools.get(), row, "cl_waiting"));
  }
  return clients;
}

ServerReading read_servers(PGconn* console, const std::string& database) {
  const ResultPtr rows = execute_blocking(console, "SHOW SERVERS");
  ServerReading servers;
  for (int row = 0; row < PQntuples(rows.get()); ++row) {
    const std::string process = cell(rows.get(), row, "remote_pid");
    if (cell(rows.get(), row, "database") != database || process == "0") continue;  // 0: not logged in yet
    servers[cell(rows.get(), row, "addr") + ":" + cell(rows.get(), row, "port")].insert(process);
  }
  return servers;
}

}  // namespace

std::map<std::string, uint64_t> count_lasting(const ServerReading& earlier, const ServerReading& later) {
  std::map<std::string, uint64_t> counts;
  for (const auto& [address, processes] : later) {
    const auto before = earlier.find(address);
    if (before == earlier.end()) continue;
    counts[address] =
        static_cast<uint64_t>(std::count_if(processes.begin(), processes.end(), [&](const auto& process) {
          return before->second.contains(process);
        }));
  }
  return counts;
}

ConsoleWatch::ConsoleWatch(std::string conninfo, std::string database)
    : conninfo_(std::move(conninfo)),
      database_(std::move(database)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

ConsolePeaks ConsoleWatch::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  return peaks_;
}

void ConsoleWatch::watch(const std::stop_token& stop) {
  std::mutex pause_mutex;
  std::condition_variable_any pause;
  try {
    const ConnectionPtr console = connect_blocking(conninfo_);
    ServerReading known = read_servers(console.get(), database_);
    bool is_last = false;
    while (!is_last) {
      is_last = stop.stop_requested();  // one reading more, so that the shortest run has two
      const uint64_t clients = count_clients(console.get(), database_);
      ServerReading read = read_servers(console.get(), database_);
      {
        const std::lock_guard lock(mutex_);
        peaks_.clients = std::max(peaks_.clients, clients);
        for (const auto& [address, count] : count_lasting(known, read))
          peaks_.servers[address] = std::max(peaks_.servers[address], count);
      }
      known = std::move(read);
      std::unique_lock lock(pause_mutex);
      pause.wait_for(lock, stop, kInterval, [] { return false; });
    }
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    peaks_.error = error.what();
  }
}

std::string read_version(const std::string& conninfo) {
  const ConnectionPtr console = connect_blocking(conninfo);
  return PQgetvalue(execute_blocking(console.get(), "SHOW VERSION").get(), 0, 0);
}

}  // namespace mosaic::workload
