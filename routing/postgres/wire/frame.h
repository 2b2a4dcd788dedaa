#pragma once
// Framing of the PostgreSQL protocol 3.0: type byte, then a big-endian length that counts itself
// (PostgreSQL manual, "Message Formats"). Bodies are not looked at here.

#include <cstdint>
#include <optional>
#include <string_view>

namespace mosaic::routing {

inline constexpr size_t kFrameHeaderBytes = 5;

struct FrameHeader {
  char type = 0;
  uint32_t length = 0;  // as on the wire: body + 4
  size_t body_bytes() const { return length - 4; }
  size_t frame_bytes() const { return size_t{length} + 1; }
};

inline uint32_t read_u32(const char* at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}
inline uint16_t read_u16(const char* at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);
  return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

// The header at the front of `bytes`; nothing while fewer than five have come. A length below 4 is returned
// as it is: is_valid() tells.
inline std::optional<FrameHeader> find_frame_header(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  return FrameHeader{bytes[0], read_u32(bytes.data() + 1)};
}
inline bool is_valid(const FrameHeader& header) { return header.length >= 4 && header.length <= 0x7fffffffu; }

// Reads a body front to back; every read fails for good once the body is too short.
class BodyReader {
 public:
  explicit BodyReader(std::string_view body) : rest_(body) {}
  bool is_ok() const { return is_ok_; }
  bool is_at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  uint8_t read_u8();
  uint16_t read_u16();
  uint32_t read_u32();
  std::string_view read_bytes(size_t count);
  std::string_view read_c_string();  // without its terminating zero

 private:
  bool can_read(size_t count);
  std::string_view rest_;
  bool is_ok_ = true;
};

}  // namespace mosaic::routing
