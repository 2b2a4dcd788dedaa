#pragma once
// Takes what is said by means of spdlog into the event log, as events of the class "message".

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include "admin/event_log.h"

namespace mosaic::admin {

class EventLogSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit EventLogSink(EventLog& log) : log_(log) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const pool::Severity severity = message.level <= spdlog::level::debug  ? pool::Severity::kDebug
                                    : message.level == spdlog::level::info ? pool::Severity::kInfo
                                    : message.level == spdlog::level::warn ? pool::Severity::kWarning
                                                                           : pool::Severity::kError;
    const std::string_view text(message.payload.data(), message.payload.size());
    log_.record(pool::Event(severity, "message").add("message", text));
  }
  void flush_() override {}

 private:
  EventLog& log_;
};

}  // namespace mosaic::admin
