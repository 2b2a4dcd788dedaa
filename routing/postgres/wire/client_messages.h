#pragma once
// What clients send, read in place: views point into the message (PostgreSQL manual, "Message Formats").
// Used by sessions (clients to us) and by tests; errors are kProtocolViolation.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/postgres/wire/parameters.h"
#include "routing/result.h"

namespace mosaic::routing {

// The first message of a connection has no type byte: length, then a code.
struct StartupMessage {
  enum class Kind : uint8_t { kStartup, kCancel, kSslRequest, kGssRequest };
  Kind kind = Kind::kStartup;
  uint16_t major = 0, minor = 0;                                          // kStartup
  std::vector<std::pair<std::string_view, std::string_view>> parameters;  // kStartup, in order
  uint32_t process_id = 0;                                                // kCancel
  uint32_t secret = 0;                                                    // kCancel

  std::string_view find(std::string_view name) const;  // empty when absent
};

// PostgreSQL's own limit on a startup packet (MAX_STARTUP_PACKET_LENGTH).
inline constexpr uint32_t kStartupBytesMax = 10'000;

// `body`: behind the length word.
Result<StartupMessage> parse_startup(std::string_view body);

struct ParseMessage {
  std::string_view name;
  std::string_view text;
  std::string_view type_bytes;  // the declared types as sent: four bytes each, 0: let the server decide
  std::vector<uint32_t> type_oids() const;
};
Result<ParseMessage> parse_parse(std::string_view body);

struct BindMessage {
  std::string_view portal;
  std::string_view statement;
  std::string_view formats;  // format codes of the parameters, 2 bytes each
  uint16_t parameter_count = 0;
  std::string_view values;       // from the first value's length word to the last value's end
  std::string_view after_names;  // everything behind the two names: forwarded as it is
  Parameters parameters(std::span<const uint32_t> type_oids) const {
    return Parameters(formats, parameter_count, values, type_oids);
  }
};
Result<BindMessage> parse_bind(std::string_view body);

// Describe and Close: 'S' and a statement's name, or 'P' and a portal's.
struct TargetMessage {
  char kind = 'S';
  std::string_view name;
};
Result<TargetMessage> parse_target(std::string_view body);

struct ExecuteMessage {
  std::string_view portal;
  uint32_t row_limit = 0;
};
Result<ExecuteMessage> parse_execute(std::string_view body);

// Query: one C string that fills the body.
Result<std::string_view> parse_query(std::string_view body);

}  // namespace mosaic::routing
