#include "admin/event_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace mosaic::admin {

namespace {

using pool::Event;
using pool::EventField;
using pool::Severity;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr size_t kClassesMax = 1000;  // names are literals, so that there are far fewer

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("_-.:/+%@").find(c) != std::string_view::npos;
}

// JSON has no \x; text keeps what is not ASCII, as long as it is UTF8.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  const size_t length = first >= 0xF0 && first <= 0xF4 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (first < 0x80 || first > 0xF4 || length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond Unicode.
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  // C1 controls, and the separators that some readers take for the end of a line.
  if (first == 0xC2 && byte(1) < 0xA0) return 0;
  if (first == 0xE2 && byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9)) return 0;
  return length;
}

void append_quoted(std::string& out, std::string_view text, bool is_json) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    size_t taken = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c >= ' ' && c < 0x7F) {
      out += c;
    } else if (const size_t length = utf8_length(text); length > 0) {
      out += text.substr(0, length);
      taken = length;
    } else {
      out += fmt::format(fmt::runtime(is_json ? "\\u{:04x}" : "\\x{:02x}"), static_cast<unsigned char>(c));
    }
    text.remove_prefix(taken);
  }
  out += '"';
}

std::string time_text(uint64_t unix_us, const char* format) {
  const auto seconds = static_cast<std::time_t>(unix_us / kSecondUs);
  return fmt::format(fmt::runtime(format), fmt::gmtime(seconds), unix_us / 1000 % 1000);
}

std::string text_line(const Event& event, uint64_t unix_us) {
  std::string line = time_text(unix_us, "{0:%Y-%m-%d %H:%M:%S}.{1:03} UTC");
  line += fmt::format(" {} [{}] event={}", name_of(event.severity), getpid(), event.name);
  if (!event.fields.empty()) line += ' ' + fields_as_text(event);
  return line;
}

std::string json_line(const Event& event, uint64_t unix_us) {
  std::string line = time_text(unix_us, "{{\"time\":\"{0:%Y-%m-%dT%H:%M:%S}.{1:03}Z\"");
  line +=
      fmt::format(R"(,"level":"{}","pid":{},"event":"{}")", name_of(event.severity), getpid(), event.name);
  for (const EventField& field : event.fields) {
    line += fmt::format(",\"{}\":", field.key);
    if (field.is_number) {
      line += field.value;
    } else {
      append_quoted(line, field.value, true);
    }
  }
  return line + '}';
}

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return "debug";
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "";
}

std::string fields_as_text(const Event& event) {
  std::string text;
  for (const EventField& field : event.fields) {
    if (!text.empty()) text += ' ';
    text += field.key;
    text += '=';
    if (!field.value.empty() && std::all_of(field.value.begin(), field.value.end(), is_plain)) {
      text += field.value;
    } else {
      append_quoted(text, field.value, false);
    }
  }
  return text;
}

EventLog::EventLog(Write write, std::function<uint64_t()> unix_us)
    : write_line_(std::move(write)), unix_us_(std::move(unix_us)) {}

void EventLog::configure(const EventLogSettings& settings) {
  const std::lock_guard lock(mutex_);
  settings_ = settings;
  while (kept_.size() > settings_.kept) kept_.pop_front();
}

void EventLog::record(const Event& event) {
  const std::lock_guard lock(mutex_);
  Class* its_class = find_class(event.name);
  if (its_class != nullptr) ++its_class->count;
  if (event.severity < settings_.least) return;
  const uint64_t now_us = unix_us_();
  tell_left_out(now_us);
  if (settings_.rate_limit > 0 && its_class != nullptr) {
    if (its_class->second != now_us / kSecondUs) {
      its_class->second = now_us / kSecondUs;
      its_class->written = 0;
    }
    if (its_class->written >= settings_.rate_limit) {
      ++its_class->left_out;
      return;
    }
    ++its_class->written;
  }
  write(event, now_us);
}

EventLog::Class* EventLog::find_class(std::string_view name) {
  auto at = classes_.find(name);
  if (at != classes_.end()) return &at->second;
  if (classes_.size() >= kClassesMax) return nullptr;
  return &classes_.emplace(std::string(name), Class{}).first->second;
}

void EventLog::tick() {
  const std::lock_guard lock(mutex_);
  tell_left_out(unix_us_());
  if (lost_ > 0) tell_lost(unix_us_());
}

void EventLog::tell_left_out(uint64_t now_us) {
  for (auto& [name, its_class] : classes_) {
    if (its_class.left_out == 0 || its_class.second == now_us / kSecondUs) continue;
    Event told(Severity::kWarning, "events_left_out");
    told.add("of", name).add("count", std::exchange(its_class.left_out, 0));
    told.add("log_rate_limit", settings_.rate_limit);
    write(told, now_us);
  }
}

// The count comes before the first line that is taken again.
void EventLog::tell_lost(uint64_t now_us) {
  Event told(Severity::kWarning, "log_lines_lost");
  told.add("count", lost_).add("log_buffer", settings_.buffer_bytes);
  if (!write_line(told, now_us)) return;
  if (Class* its_class = find_class(told.name)) its_class->count += lost_;
  lost_ = 0;
}

bool EventLog::write_line(const Event& event, uint64_t now_us) {
  return write_line_(settings_.format == EventLogSettings::Format::kJson ? json_line(event, now_us)
                                                                         : text_line(event, now_us));
}

void EventLog::write(const Event& event, uint64_t now_us) {
  if (lost_ > 0) tell_lost(now_us);
  if (lost_ > 0 || !write_line(event, now_us)) ++lost_;
  if (settings_.kept == 0) return;
  if (kept_.size() >= settings_.kept) kept_.pop_front();
  kept_.push_back({now_us, event.severity, std::string(event.name), fields_as_text(event)});
}

std::vector<KeptEvent> EventLog::kept() const {
  const std::lock_guard lock(mutex_);
  return {kept_.begin(), kept_.end()};
}

EventLogSettings EventLog::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

std::map<std::string, uint64_t, std::less<>> EventLog::counts() const {
  std::map<std::string, uint64_t, std::less<>> counts;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, its_class] : classes_) counts[name] = its_class.count;
  return counts;
}

}  // namespace mosaic::admin
