#pragma once
// Writes the log's lines on a thread of its own, so that a reader of the log that does not read holds nobody
// else up. What does not fit into the buffer is not taken. Thread-safe.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "admin/stop_signal.h"

namespace mosaic::admin {

class LogWriter {
 public:
  // `descriptor` stays the caller's, and stays open as long as this lives.
  LogWriter(int descriptor, size_t bytes_max);
  // Writes what is left, as far as the reader takes it within kLeaveLimit.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  static constexpr std::chrono::milliseconds kLeaveLimit{1000};

  // A line without its end. False: there is no room for it, it is lost.
  bool put(std::string_view line);

 private:
  void run();
  bool write_all(std::string_view bytes);

  const int descriptor_;
  const size_t bytes_max_;
  StopSignal stop_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  size_t bytes_ = 0;
  bool is_leaving_ = false;
  std::thread thread_;
};

}  // namespace mosaic::admin
