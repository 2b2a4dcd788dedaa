#pragma once
// What the data plane tells of what happens: a name for the class of event, and names and numbers. Who keeps
// and writes events is given to it (EventSink); it knows of no log.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mosaic::pool {

enum class Severity : uint8_t { kDebug, kInfo, kWarning, kError };

struct EventField {
  std::string_view key;  // a literal
  std::string value;     // as it came: whoever writes it escapes it
  bool is_number = false;
};

struct Event {
  Severity severity = Severity::kInfo;
  std::string_view name;  // a literal: one class of events, limited and counted by itself
  std::vector<EventField> fields;

  Event(Severity its_severity, std::string_view its_name) : severity(its_severity), name(its_name) {}

  // Left out where there is nothing to say.
  Event& add(std::string_view key, std::string_view text) {
    if (!text.empty()) fields.push_back({key, std::string(text), false});
    return *this;
  }
  template <std::integral Number>
  Event& add(std::string_view key, Number number) {
    fields.push_back({key, std::to_string(number), true});
    return *this;
  }
  // Seconds, of a duration in microseconds.
  Event& add_seconds(std::string_view key, uint64_t us) {
    std::string digits = std::to_string(us / 1000 % 1000);
    fields.push_back(
        {key, std::to_string(us / 1'000'000) + "." + std::string(3 - digits.size(), '0') + digits, true});
    return *this;
  }
};

// Takes events from any thread; must not block for long.
class EventSink {
 public:
  virtual void record(const Event& event) = 0;

 protected:
  ~EventSink() = default;
};

}  // namespace mosaic::pool
