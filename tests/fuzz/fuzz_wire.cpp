// Any bytes as any message: the codec must neither read outside the body nor accept what it could not have
// written. For every parser that accepts, building the message again must give the body back, byte for byte.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "routing/byte_buffer.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "tests/fuzz/require.h"

namespace {

using namespace mosaic::routing;

bool lies_in(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

template <typename Build>
void require_same(std::string_view body, Build build) {
  ByteBuffer out;
  build(out);
  const auto header = find_frame_header(out.view());
  require(header && is_valid(*header) && header->frame_bytes() == out.size());
  require(out.view().substr(kFrameHeaderBytes) == body);
}

void walk_frames(std::string_view bytes) {
  while (const auto header = find_frame_header(bytes)) {
    if (!is_valid(*header)) return;
    require(header->frame_bytes() >= kFrameHeaderBytes && header->body_bytes() == header->frame_bytes() - 5);
    if (bytes.size() < header->frame_bytes()) return;
    bytes.remove_prefix(header->frame_bytes());
  }
}

void check_startup(std::string_view body) {
  const auto message = parse_startup(body);
  if (!message) return;
  ByteBuffer again;
  if (message->kind == StartupMessage::Kind::kStartup) {
    again.append_u16(message->major);
    again.append_u16(message->minor);
    for (const auto& [name, value] : message->parameters) {
      require(!name.empty() && lies_in(name, body) && lies_in(value, body));
      again.append_c_string(name);
      again.append_c_string(value);
    }
    again.append_u8(0);
    require(again.view() == body);
  } else {
    require(body.size() == (message->kind == StartupMessage::Kind::kCancel ? 12 : 4));
  }
}

void check_parameters(const BindMessage& message, std::string_view body) {
  const uint32_t types[] = {20, 25, 2950};
  const Parameters parameters = message.parameters(types);
  ByteBuffer values;
  for (uint32_t i = 0; i < parameters.count(); ++i) {
    // O(index): the whole walk is quadratic, so of a long list only the ends are looked at.
    if (i == 64 && parameters.count() > 128) return;
    const auto parameter = parameters.find(i);
    require(parameter && lies_in(parameter->bytes, body));
    values.append_u32(parameter->is_null ? 0xffffffffu : static_cast<uint32_t>(parameter->bytes.size()));
    values.append(parameter->bytes);
    require(parameter->type_oid == (i < 3 ? types[i] : 0));
  }
  require(values.view() == message.values);
  require(!parameters.find(parameters.count()) && !parameters.find(0xffffffffu));
}

void check_bind(std::string_view body) {
  const auto message = parse_bind(body);
  if (!message) return;
  ByteBuffer again;
  again.append_c_string(message->portal);
  again.append_c_string(message->statement);
  again.append(message->after_names);
  require(again.view() == body);
  require(lies_in(message->values, message->after_names) && lies_in(message->formats, message->after_names));
  check_parameters(*message, body);
}

void check_errors(std::string_view body) {
  const Error error = parse_error_fields(body);
  ByteBuffer out;
  append_error(out, error);
  const Error again = parse_error_fields(out.view().substr(kFrameHeaderBytes));
  require(again.sqlstate == error.sqlstate && again.message == error.message &&
          again.detail == error.detail && again.hint == error.hint);
}

// Reads a literal as PostgreSQL's lexer does, with standard_conforming_strings off: E'' and '' alike.
std::string unquote(std::string_view text) {
  const bool is_escape = text.starts_with('E');
  text.remove_prefix(is_escape ? 2 : 1);
  std::string plain;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const bool is_pair = text[i] == '\'' || text[i] == '\\';
    if (text[i] == '\'' && text.substr(i + 1, 1) != "'") break;
    require(text[i] != '\\' || is_escape);
    if (is_pair) ++i;
    plain += text[i];
  }
  require(i + 1 == text.size());
  return plain;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of the exact size, so that one byte too far is one byte into a red zone.
  const std::vector<char> bytes(data, data + size);
  const std::string_view body(bytes.data(), bytes.size());

  walk_frames(body);
  check_startup(body);
  check_bind(body);
  check_errors(body);
  if (const auto message = parse_parse(body)) {
    require_same(body, [&](ByteBuffer& out) {
      append_parse(out, message->name, message->text, message->type_oids());
    });
  }
  if (const auto message = parse_target(body)) {
    require_same(body, [&](ByteBuffer& out) { append_describe(out, message->kind, message->name); });
    require_same(body, [&](ByteBuffer& out) { append_close(out, message->kind, message->name); });
  }
  if (const auto message = parse_execute(body)) {
    ByteBuffer again;
    again.append_c_string(message->portal);
    again.append_u32(message->row_limit);
    require(again.view() == body);
  }
  if (const auto text = parse_query(body)) {
    require_same(body, [&](ByteBuffer& out) { append_query(out, *text); });
    require(unquote(quote_literal(*text)) == *text);
  }
  if (const auto status = parse_parameter_status(body)) {
    require(lies_in(status->first, body) && lies_in(status->second, body));
  }
  if (const auto types = parse_parameter_description(body)) require(types->size() * 4 + 2 <= body.size());
  return 0;
}
