#pragma once
// The log: one line per event, as text or JSON, and the last events kept for SHOW EVENTS. What comes from
// outside is escaped, so that one event is one line always. Of each class of events so many are written in a
// second; the others are counted, and the count is told. Thread-safe.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "pool/event_sink.h"

namespace mosaic::admin {

struct EventLogSettings {
  enum class Format : uint8_t { kText, kJson };
  pool::Severity least = pool::Severity::kInfo;  // `log_level`; events below are neither written nor kept
  Format format = Format::kText;
  uint32_t rate_limit = 100;         // events of a class per second; 0: no limit
  uint32_t kept = 1000;              // for SHOW EVENTS
  uint64_t buffer_bytes = 1u << 20;  // lines that are not written yet; fixed at start
};

// An event that was written.
struct KeptEvent {
  uint64_t unix_us = 0;
  pool::Severity severity = pool::Severity::kInfo;
  std::string name;
  std::string text;  // key=value ...
};

class EventLog final : public pool::EventSink {
 public:
  // Gets each line, without its end, one at a time; false: it is lost.
  using Write = std::function<bool(std::string_view line)>;
  // `unix_us` is the time of day.
  EventLog(Write write, std::function<uint64_t()> unix_us);

  void configure(const EventLogSettings& settings);
  void record(const pool::Event& event) override;
  // Tells what was left out in seconds that are over. Called now and then.
  void tick();
  std::vector<KeptEvent> kept() const;  // oldest first
  EventLogSettings settings() const;
  // Of each class, how many there were, ever, written or not.
  std::map<std::string, uint64_t, std::less<>> counts() const;

 private:
  struct Class {
    uint64_t second = 0;                 // Unix time
    uint32_t written = 0, left_out = 0;  // in it
    uint64_t count = 0;                  // ever
  };
  Class* find_class(std::string_view name);  // null: there are too many
  void tell_left_out(uint64_t now_us);
  void write(const pool::Event& event, uint64_t now_us);

  bool write_line(const pool::Event& event, uint64_t now_us);
  void tell_lost(uint64_t now_us);

  const Write write_line_;
  const std::function<uint64_t()> unix_us_;
  mutable std::mutex mutex_;  // guards what follows
  EventLogSettings settings_;
  std::map<std::string, Class, std::less<>> classes_;
  std::deque<KeptEvent> kept_;
  uint64_t lost_ = 0;  // lines that were not taken since the last one that was
};

// key=value pairs; values with other than plain characters are quoted, control characters are written as
// \n, \t or \x1b.
std::string fields_as_text(const pool::Event& event);
std::string_view name_of(pool::Severity severity);

}  // namespace mosaic::admin
