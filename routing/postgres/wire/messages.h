#pragma once
// Builders of PostgreSQL protocol messages, appended to a buffer (PostgreSQL manual, "Message Formats"), and
// readers of the few server messages whose bodies matter to us.

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/byte_buffer.h"
#include "routing/result.h"

namespace mosaic::routing {

// Starts a message and, when it goes out of scope, fills in its length.
class FrameWriter {
 public:
  FrameWriter(ByteBuffer& out, char type) : out_(out) {
    out_.append_u8(static_cast<uint8_t>(type));
    length_at_ = out_.size();
    out_.append_u32(0);
  }
  ~FrameWriter() { out_.patch_u32(length_at_, static_cast<uint32_t>(out_.size() - length_at_)); }
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

 private:
  ByteBuffer& out_;
  size_t length_at_;
};

// --- server to client ---
void append_error(ByteBuffer& out, const Error& error, std::string_view severity = "ERROR");
// An ErrorResponse (or NoticeResponse, by `type`) as a server sent it (`body`), its position field (P)
// replaced by move(position); left out where that is 0.
template <typename Move>
void append_error_moved(ByteBuffer& out, std::string_view body, Move move, char type = 'E');
void append_notice(ByteBuffer& out, const Error& notice, std::string_view severity = "NOTICE");
void append_ready(ByteBuffer& out, char transaction_status);
void append_command_complete(ByteBuffer& out, std::string_view tag);
void append_parameter_status(ByteBuffer& out, std::string_view name, std::string_view value);
void append_backend_key(ByteBuffer& out, uint32_t process_id, uint32_t secret);
void append_authentication(ByteBuffer& out, uint32_t code, std::string_view data = {});
// NegotiateProtocolVersion. `version`: major << 16 | minor, as PostgreSQL writes and libpq reads it, whatever
// the manual says of the minor part alone.
void append_negotiate_version(ByteBuffer& out, uint32_t version,
                              std::span<const std::string_view> unknown_options);
void append_empty(ByteBuffer& out,
                  char type);  // ParseComplete '1', BindComplete '2', CloseComplete '3', NoData 'n' ...
void append_copy_in_response(ByteBuffer& out, bool is_binary, uint16_t columns);
// Columns of text type (oid 25), or of the given type oid and size.
struct ColumnDescription {
  std::string_view name;
  uint32_t type_oid = 25;
  int16_t type_bytes = -1;
};
void append_row_description(ByteBuffer& out, std::span<const ColumnDescription> columns);
void append_data_row(ByteBuffer& out,
                     std::span<const std::optional<std::string>> values);  // text format; nullopt is NULL

// --- client to server ---
void append_query(ByteBuffer& out, std::string_view text);
void append_parse(ByteBuffer& out, std::string_view name, std::string_view text,
                  std::span<const uint32_t> type_oids);
void append_describe(ByteBuffer& out, char kind, std::string_view name);
void append_close(ByteBuffer& out, char kind, std::string_view name);
void append_copy_fail(ByteBuffer& out, std::string_view reason);
void append_sync(ByteBuffer& out);

// --- read ---
// ErrorResponse and NoticeResponse: severity is dropped, the rest goes to where Error keeps it.
Error parse_error_fields(std::string_view body);
std::optional<std::pair<std::string_view, std::string_view>> parse_parameter_status(std::string_view body);
// The parameter types of a ParameterDescription.
std::optional<std::vector<uint32_t>> parse_parameter_description(std::string_view body);

// Quotes for SQL text: 'it''s', "a""b".
std::string quote_literal(std::string_view text);
std::string quote_identifier(std::string_view name);

template <typename Move>
void append_error_moved(ByteBuffer& out, std::string_view body, Move move, char type) {
  FrameWriter frame(out, type);
  while (!body.empty() && body[0] != 0) {
    const size_t end = body.find('\0');
    if (end == std::string_view::npos) break;
    uint32_t position = 0;
    const auto read = std::from_chars(body.data() + 1, body.data() + end, position);
    if (body[0] == 'P' && read.ec == std::errc() && position > 0) {
      if (const uint32_t moved = move(position); moved > 0) {
        out.append_u8('P');
        out.append_c_string(std::to_string(moved));
      }
    } else {
      out.append(body.substr(0, end + 1));
    }
    body.remove_prefix(end + 1);
  }
  out.append_u8(0);
}

}  // namespace mosaic::routing
