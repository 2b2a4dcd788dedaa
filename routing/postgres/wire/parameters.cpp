#include "routing/postgres/wire/parameters.h"

#include <algorithm>

namespace mosaic::routing {

namespace {

uint16_t read_u16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                               static_cast<unsigned char>(bytes[at + 1]));
}

int32_t read_i32(std::string_view bytes, size_t at) {
  return static_cast<int32_t>(static_cast<uint32_t>(read_u16(bytes, at)) << 16 | read_u16(bytes, at + 2));
}

}  // namespace

std::optional<Parameter> Parameters::find(uint32_t index) const {
  if (index >= count_) return std::nullopt;
  if (!read_.empty()) return read_[index];
  size_t at = 0;
  for (uint32_t i = 0;; ++i) {
    if (at + 4 > values_.size()) return std::nullopt;
    const int32_t length = read_i32(values_, at);
    at += 4;
    if (length > 0 && static_cast<size_t>(length) > values_.size() - at) return std::nullopt;
    if (i < index) {
      at += length > 0 ? static_cast<size_t>(length) : 0;
      continue;
    }
    Parameter parameter;
    parameter.is_null = length < 0;
    // No codes: all text; one: it holds for all (PostgreSQL manual, Message Formats, Bind).
    const size_t codes = formats_.size() / 2;
    if (codes > 0)
      parameter.is_binary = read_u16(formats_, codes == 1 ? 0 : 2 * std::min<size_t>(index, codes - 1)) == 1;
    if (index < type_oids_.size()) parameter.type_oid = type_oids_[index];
    if (length > 0) parameter.bytes = values_.substr(at, static_cast<size_t>(length));
    return parameter;
  }
}

}  // namespace mosaic::routing
