#pragma once
// Who is connected to the console, for the views that list clients. Thread-safe.

#include <map>
#include <mutex>
#include <vector>

#include "proxy/proxy.h"
#include "proxy/report.h"

namespace mosaic::admin {

class ConsoleClients {
 public:
  void add(const proxy::ConsoleClient& client);
  void remove(uint64_t id);
  // `request_us`: Unix time of its latest command.
  void set_active(uint64_t id, bool is_active, uint64_t request_us);
  std::vector<proxy::ClientReport> list() const;
  size_t most() const;  // at a time, ever

 private:
  mutable std::mutex mutex_;
  std::map<uint64_t, proxy::ClientReport> clients_;  // guarded by mutex_
  size_t most_ = 0;                                  // likewise
};

}  // namespace mosaic::admin
