#pragma once
// A scripted client of Login for tests: builds what clients send and reads what they get.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/postgres/login/login.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline std::string packet(uint32_t code, std::string_view body = {}) {
  routing::ByteBuffer out;
  out.append_u32(static_cast<uint32_t>(8 + body.size()));
  out.append_u32(code);
  out.append(body);
  return std::string(out.view());
}

inline std::string startup(const Pairs& parameters, uint32_t version = 3u << 16) {
  std::string body;
  for (const auto& [name, value] : parameters)
    body.append(name).append(1, '\0').append(value).append(1, '\0');
  return packet(version, body + '\0');
}

inline std::string ssl_request() { return packet(80877103); }
inline std::string gss_request() { return packet(80877104); }
inline std::string cancel_request(uint32_t process_id, uint32_t secret) {
  routing::ByteBuffer body;
  body.append_u32(process_id);
  body.append_u32(secret);
  return packet(80877102, body.view());
}

inline std::string password_frame(std::string_view body) {
  routing::ByteBuffer out;
  {
    routing::FrameWriter frame(out, 'p');
    out.append(body);
  }
  return std::string(out.view());
}

inline std::string sasl_initial(std::string_view first, std::string_view mechanism = "SCRAM-SHA-256") {
  routing::ByteBuffer body;
  body.append_c_string(mechanism);
  body.append_u32(static_cast<uint32_t>(first.size()));
  body.append(first);
  return password_frame(body.view());
}

struct Frame {
  char type;
  std::string body;
  uint32_t authentication_code() const { return type == 'R' ? routing::read_u32(body.data()) : ~0u; }
};

inline std::vector<Frame> frames_of(std::string_view bytes) {
  std::vector<Frame> frames;
  while (const auto header = routing::find_frame_header(bytes)) {
    frames.push_back({header->type, std::string(bytes.substr(5, header->body_bytes()))});
    bytes.remove_prefix(header->frame_bytes());
  }
  return frames;
}

// One login; send() returns what the client gets for it.
struct LoginScript {
  explicit LoginScript(const LoginRules& rules)
      : login(std::make_shared<LoginRules>(rules), "servernonce-24-characters") {}

  std::string send(std::string_view bytes) {
    input.append(bytes);
    routing::ByteBuffer output;
    state = login.on_bytes(input, output);
    return std::string(output.view());
  }
  std::vector<Frame> send_for_frames(std::string_view bytes) { return frames_of(send(bytes)); }

  Login login;
  Login::State state = Login::State::kMore;
  routing::ByteBuffer input;
};

}  // namespace mosaic::proxy
