#include "routing/postgres/array_value.h"

#include "routing/postgres/sql/keyword.h"

namespace mosaic::routing {

namespace {
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
}  // namespace

TextArrayReader::TextArrayReader(std::string_view text) : rest_(text) {
  skip_spaces();
  while (!rest_.empty() && is_space(rest_.back())) rest_.remove_suffix(1);
  // "[2:3]={1,2}" is legal and nobody's way to write a list of keys.
  if (rest_.size() < 2 || rest_.front() != '{' || rest_.back() != '}') is_valid_ = false;
}

void TextArrayReader::skip_spaces() {
  while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
}

std::optional<TextArrayReader::Element> TextArrayReader::fail() {
  is_valid_ = false;
  return std::nullopt;
}

std::optional<TextArrayReader::Element> TextArrayReader::next() {
  if (!is_valid_ || is_done_) return std::nullopt;
  while (true) {
    skip_spaces();
    if (rest_.empty()) return fail();
    const char c = rest_.front();
    if (c == '{') {
      ++depth_;
      rest_.remove_prefix(1);
    } else if (c == '}') {
      rest_.remove_prefix(1);
      if (--depth_ > 0) continue;
      is_done_ = true;
      return rest_.empty() ? std::nullopt : fail();
    } else if (c == ',') {
      rest_.remove_prefix(1);
    } else {
      return read_element();
    }
  }
}

std::optional<TextArrayReader::Element> TextArrayReader::read_element() {
  const bool is_quoted = rest_.front() == '"';
  if (!is_quoted) {
    const size_t end = rest_.find_first_of(",{}\"\\");
    if (end == std::string_view::npos || rest_[end] == '{' || rest_[end] == '"' || rest_[end] == '\\')
      return fail();
    std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return Element{is_keyword(text, "null"), text};
  }
  rest_.remove_prefix(1);
  const size_t plain = rest_.find_first_of("\"\\");
  if (plain == std::string_view::npos) return fail();
  if (rest_[plain] == '"') {
    const std::string_view text = rest_.substr(0, plain);
    rest_.remove_prefix(plain + 1);
    return Element{false, text};
  }
  scratch_.clear();
  while (!rest_.empty() && rest_.front() != '"') {
    if (rest_.front() == '\\') rest_.remove_prefix(1);
    if (rest_.empty()) break;
    scratch_ += rest_.front();
    rest_.remove_prefix(1);
  }
  if (rest_.empty()) return fail();
  rest_.remove_prefix(1);
  return Element{false, scratch_};
}

BinaryArrayReader::BinaryArrayReader(std::string_view bytes) : rest_(bytes) {
  const auto dimensions = read_u32();
  const auto flags = read_u32();
  const auto element_oid = read_u32();
  constexpr uint32_t kDimensionsMax = 6;  // MAXDIM
  if (!dimensions || !flags || !element_oid || *dimensions > kDimensionsMax ||
      rest_.size() < *dimensions * size_t{8}) {
    is_valid_ = false;
    return;
  }
  element_oid_ = *element_oid;
  rest_.remove_prefix(*dimensions * size_t{8});
}

std::optional<uint32_t> BinaryArrayReader::read_u32() {
  if (rest_.size() < 4) return std::nullopt;
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(rest_[static_cast<size_t>(i)]);
  rest_.remove_prefix(4);
  return value;
}

std::optional<BinaryArrayReader::Element> BinaryArrayReader::next() {
  if (!is_valid_ || rest_.empty()) return std::nullopt;
  const auto length = read_u32();
  if (!length) {
    is_valid_ = false;
    return std::nullopt;
  }
  constexpr uint32_t kNull = 0xffffffff;
  if (*length == kNull) return Element{true, {}};
  if (*length > rest_.size()) {
    is_valid_ = false;
    return std::nullopt;
  }
  const std::string_view bytes = rest_.substr(0, *length);
  rest_.remove_prefix(*length);
  return Element{false, bytes};
}

}  // namespace mosaic::routing
