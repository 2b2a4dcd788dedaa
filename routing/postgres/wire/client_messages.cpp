#include "routing/postgres/wire/client_messages.h"

#include <fmt/format.h>

#include "routing/postgres/wire/frame.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

constexpr uint32_t kCancelCode = 80877102;
constexpr uint32_t kSslCode = 80877103;
constexpr uint32_t kGssCode = 80877104;

Error malformed(const char* what) {
  return Error{sqlstate::kProtocolViolation, fmt::format("invalid {} message", what),
               "the message's fields do not fill its length exactly",
               "this is a fault of the client driver or of something between it and Mosaic"};
}

}  // namespace

std::string_view StartupMessage::find(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

Result<StartupMessage> parse_startup(std::string_view body) {
  BodyReader reader(body);
  StartupMessage message;
  const uint32_t code = reader.read_u32();
  if (!reader.is_ok()) return malformed("startup");
  if (code == kSslCode || code == kGssCode) {
    if (!reader.is_at_end()) return malformed("encryption request");
    message.kind = code == kSslCode ? StartupMessage::Kind::kSslRequest : StartupMessage::Kind::kGssRequest;
    return message;
  }
  if (code == kCancelCode) {
    message.kind = StartupMessage::Kind::kCancel;
    message.process_id = reader.read_u32();
    message.secret = reader.read_u32();
    if (!reader.is_ok() || !reader.is_at_end()) return malformed("cancel request");
    return message;
  }
  message.major = static_cast<uint16_t>(code >> 16);
  message.minor = static_cast<uint16_t>(code);
  if (message.major != 3) {
    return Error{
        sqlstate::kFeatureNotSupported,
        fmt::format("unsupported frontend protocol {}.{}: server supports 3.0", message.major, message.minor),
        "", "connect with a PostgreSQL 7.4 or later client; TLS clients: Mosaic expects an SSLRequest first"};
  }
  while (reader.is_ok() && reader.rest().size() > 1) {
    const std::string_view key = reader.read_c_string();
    const std::string_view value = reader.read_c_string();
    if (key.empty())
      return malformed("startup");  // an empty name is the list's end, and the list ends the packet
    message.parameters.emplace_back(key, value);
  }
  if (!reader.is_ok() || reader.rest() != std::string_view("\0", 1)) return malformed("startup");
  return message;
}

Result<ParseMessage> parse_parse(std::string_view body) {
  BodyReader reader(body);
  ParseMessage message;
  message.name = reader.read_c_string();
  message.text = reader.read_c_string();
  const uint16_t count = reader.read_u16();
  message.type_bytes = reader.rest();
  if (!reader.is_ok() || message.type_bytes.size() != size_t{count} * 4) return malformed("Parse");
  return message;
}

std::vector<uint32_t> ParseMessage::type_oids() const {
  std::vector<uint32_t> oids;
  for (BodyReader reader(type_bytes); !reader.rest().empty();) oids.push_back(reader.read_u32());
  return oids;
}

Result<BindMessage> parse_bind(std::string_view body) {
  BodyReader reader(body);
  BindMessage message;
  message.portal = reader.read_c_string();
  message.statement = reader.read_c_string();
  message.after_names = reader.rest();
  const uint16_t format_count = reader.read_u16();
  message.formats = reader.read_bytes(size_t{format_count} * 2);
  message.parameter_count = reader.read_u16();
  const std::string_view values = reader.rest();
  for (uint16_t i = 0; i < message.parameter_count && reader.is_ok(); ++i) {
    const uint32_t length = reader.read_u32();
    if (length != 0xffffffffu) reader.read_bytes(length);
  }
  if (!reader.is_ok() || (format_count > 1 && format_count != message.parameter_count))
    return malformed("Bind");
  message.values = values.substr(0, values.size() - reader.rest().size());
  const uint16_t result_formats = reader.read_u16();
  if (!reader.is_ok() || reader.rest().size() != size_t{result_formats} * 2) return malformed("Bind");
  return message;
}

Result<TargetMessage> parse_target(std::string_view body) {
  BodyReader reader(body);
  TargetMessage message;
  message.kind = static_cast<char>(reader.read_u8());
  message.name = reader.read_c_string();
  const bool is_known = message.kind == 'S' || message.kind == 'P';
  if (!reader.is_ok() || !reader.is_at_end() || !is_known) return malformed("Describe or Close");
  return message;
}

Result<ExecuteMessage> parse_execute(std::string_view body) {
  BodyReader reader(body);
  ExecuteMessage message;
  message.portal = reader.read_c_string();
  message.row_limit = reader.read_u32();
  if (!reader.is_ok() || !reader.is_at_end()) return malformed("Execute");
  return message;
}

Result<std::string_view> parse_query(std::string_view body) {
  BodyReader reader(body);
  const std::string_view text = reader.read_c_string();
  if (!reader.is_ok() || !reader.is_at_end()) return malformed("Query");
  return text;
}

}  // namespace mosaic::routing
