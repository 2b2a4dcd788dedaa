#include "routing/postgres/wire/frame.h"

namespace mosaic::routing {

bool BodyReader::can_read(size_t count) {
  if (rest_.size() < count) is_ok_ = false;
  return is_ok_;
}

uint8_t BodyReader::read_u8() {
  if (!can_read(1)) return 0;
  const auto value = static_cast<uint8_t>(rest_[0]);
  rest_.remove_prefix(1);
  return value;
}

uint16_t BodyReader::read_u16() {
  if (!can_read(2)) return 0;
  const uint16_t value = routing::read_u16(rest_.data());
  rest_.remove_prefix(2);
  return value;
}

uint32_t BodyReader::read_u32() {
  if (!can_read(4)) return 0;
  const uint32_t value = routing::read_u32(rest_.data());
  rest_.remove_prefix(4);
  return value;
}

std::string_view BodyReader::read_bytes(size_t count) {
  if (!can_read(count)) return {};
  const std::string_view bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

std::string_view BodyReader::read_c_string() {
  const size_t zero = rest_.find('\0');
  if (!is_ok_ || zero == std::string_view::npos) {
    is_ok_ = false;
    return {};
  }
  const std::string_view text = rest_.substr(0, zero);
  rest_.remove_prefix(zero + 1);
  return text;
}

}  // namespace mosaic::routing
