#include "routing/postgres/wire/messages.h"

#include "routing/postgres/wire/frame.h"

namespace mosaic::routing {

namespace {

void append_fields(ByteBuffer& out, char type, const Error& error, std::string_view severity) {
  FrameWriter frame(out, type);
  const auto field = [&out](char code, std::string_view value) {
    if (value.empty()) return;
    out.append_u8(static_cast<uint8_t>(code));
    out.append_c_string(value);
  };
  field('S', severity);
  field('V', severity);
  field('C', error.sqlstate);
  field('M', error.message);
  field('D', error.detail);
  field('H', error.hint);
  out.append_u8(0);
}

std::string quote(std::string_view text, char mark) {
  std::string quoted(1, mark);
  for (const char c : text) {
    if (c == mark) quoted += mark;
    quoted += c;
  }
  return quoted += mark;
}

}  // namespace

void append_error(ByteBuffer& out, const Error& error, std::string_view severity) {
  append_fields(out, 'E', error, severity);
}

void append_notice(ByteBuffer& out, const Error& notice, std::string_view severity) {
  append_fields(out, 'N', notice, severity);
}

void append_ready(ByteBuffer& out, char transaction_status) {
  FrameWriter frame(out, 'Z');
  out.append_u8(static_cast<uint8_t>(transaction_status));
}

void append_command_complete(ByteBuffer& out, std::string_view tag) {
  FrameWriter frame(out, 'C');
  out.append_c_string(tag);
}

void append_parameter_status(ByteBuffer& out, std::string_view name, std::string_view value) {
  FrameWriter frame(out, 'S');
  out.append_c_string(name);
  out.append_c_string(value);
}

void append_backend_key(ByteBuffer& out, uint32_t process_id, uint32_t secret) {
  FrameWriter frame(out, 'K');
  out.append_u32(process_id);
  out.append_u32(secret);
}

void append_authentication(ByteBuffer& out, uint32_t code, std::string_view data) {
  FrameWriter frame(out, 'R');
  out.append_u32(code);
  out.append(data);
}

void append_negotiate_version(ByteBuffer& out, uint32_t version,
                              std::span<const std::string_view> unknown_options) {
  FrameWriter frame(out, 'v');
  out.append_u32(version);
  out.append_u32(static_cast<uint32_t>(unknown_options.size()));
  for (const std::string_view option : unknown_options) out.append_c_string(option);
}

void append_empty(ByteBuffer& out, char type) { FrameWriter frame(out, type); }

void append_copy_in_response(ByteBuffer& out, bool is_binary, uint16_t columns) {
  FrameWriter frame(out, 'G');
  out.append_u8(is_binary ? 1 : 0);
  out.append_u16(columns);
  for (uint16_t i = 0; i < columns; ++i) out.append_u16(is_binary ? 1 : 0);
}

void append_row_description(ByteBuffer& out, std::span<const ColumnDescription> columns) {
  FrameWriter frame(out, 'T');
  out.append_u16(static_cast<uint16_t>(columns.size()));
  for (const ColumnDescription& column : columns) {
    out.append_c_string(column.name);
    out.append_u32(0);  // not a table's column
    out.append_u16(0);
    out.append_u32(column.type_oid);
    out.append_u16(static_cast<uint16_t>(column.type_bytes));
    out.append_u32(0xffffffffu);  // no type modifier
    out.append_u16(0);            // text format
  }
}

void append_data_row(ByteBuffer& out, std::span<const std::optional<std::string>> values) {
  FrameWriter frame(out, 'D');
  out.append_u16(static_cast<uint16_t>(values.size()));
  for (const auto& value : values) {
    out.append_u32(value ? static_cast<uint32_t>(value->size()) : 0xffffffffu);
    if (value) out.append(*value);
  }
}

void append_query(ByteBuffer& out, std::string_view text) {
  FrameWriter frame(out, 'Q');
  out.append_c_string(text);
}

void append_parse(ByteBuffer& out, std::string_view name, std::string_view text,
                  std::span<const uint32_t> type_oids) {
  FrameWriter frame(out, 'P');
  out.append_c_string(name);
  out.append_c_string(text);
  out.append_u16(static_cast<uint16_t>(type_oids.size()));
  for (const uint32_t oid : type_oids) out.append_u32(oid);
}

void append_describe(ByteBuffer& out, char kind, std::string_view name) {
  FrameWriter frame(out, 'D');
  out.append_u8(static_cast<uint8_t>(kind));
  out.append_c_string(name);
}

void append_close(ByteBuffer& out, char kind, std::string_view name) {
  FrameWriter frame(out, 'C');
  out.append_u8(static_cast<uint8_t>(kind));
  out.append_c_string(name);
}

void append_copy_fail(ByteBuffer& out, std::string_view reason) {
  FrameWriter frame(out, 'f');
  out.append_c_string(reason);
}

void append_sync(ByteBuffer& out) { append_empty(out, 'S'); }

Error parse_error_fields(std::string_view body) {
  Error error;
  BodyReader reader(body);
  while (reader.is_ok()) {
    const char code = static_cast<char>(reader.read_u8());
    if (code == 0) break;
    const std::string_view value = reader.read_c_string();
    if (code == 'C') error.sqlstate = value;
    if (code == 'M') error.message = value;
    if (code == 'D') error.detail = value;
    if (code == 'H') error.hint = value;
  }
  return error;
}

std::optional<std::pair<std::string_view, std::string_view>> parse_parameter_status(std::string_view body) {
  BodyReader reader(body);
  const std::string_view name = reader.read_c_string();
  const std::string_view value = reader.read_c_string();
  if (!reader.is_ok()) return std::nullopt;
  return std::pair{name, value};
}

std::optional<std::vector<uint32_t>> parse_parameter_description(std::string_view body) {
  BodyReader reader(body);
  std::vector<uint32_t> types(reader.read_u16());
  for (uint32_t& type : types) type = reader.read_u32();
  if (!reader.is_ok()) return std::nullopt;
  return types;
}

std::string quote_literal(std::string_view text) {
  // A backslash is literal in '...' only while standard_conforming_strings is on; E'' reads the same in both
  // modes.
  if (text.find('\\') == std::string_view::npos) return quote(text, '\'');
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') escaped += c;
    escaped += c;
  }
  return "E" + quote(escaped, '\'');
}

std::string quote_identifier(std::string_view name) { return quote(name, '"'); }

}  // namespace mosaic::routing
