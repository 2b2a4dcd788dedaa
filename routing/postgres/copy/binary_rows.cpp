#include "routing/postgres/copy/binary_rows.h"

#include <algorithm>
#include <cstring>

#include "routing/postgres/wire/frame.h"

namespace mosaic::routing {

namespace {

constexpr std::string_view kSignature("PGCOPY\n\xff\r\n\0", 11);
constexpr size_t kHeaderBytes = 19;  // signature, flags, length of the extension
constexpr uint32_t kNull = 0xffffffffu;

// Flags 16 to 31 change the format: a reader that does not know one must refuse (the manual's words).
constexpr uint32_t kCriticalFlags = 0xffff0000u;

constexpr std::optional<CopyKey> kNothing;

}  // namespace

BinaryRows::BinaryRows(const CopyTarget& target, const KeyEncoding& encoding, size_t key_bytes_max)
    : key_column_(target.key_column), partial_key_(key_bytes_max), encoding_(encoding) {}

NextCopyKey BinaryRows::next(std::string_view& chunk) {
  while (!chunk.empty()) {
    NextCopyKey key = step(chunk);
    if (!key || *key) return key;
  }
  return kNothing;
}

NextCopyKey BinaryRows::finish() {
  const bool is_between_rows = place_ == Place::kFieldCount && fixed_bytes_ == 0;
  const bool is_nothing_read = place_ == Place::kHeader && fixed_bytes_ == 0;
  if (place_ != Place::kEnded && !is_between_rows && !is_nothing_read)
    return error("the data ends within a row");
  place_ = Place::kEnded;
  return kNothing;
}

NextCopyKey BinaryRows::step(std::string_view& chunk) {
  const auto done = [](const Status& status) { return status ? NextCopyKey(kNothing) : status.error(); };
  switch (place_) {
    case Place::kHeader: {
      const auto bytes = take_fixed(chunk, kHeaderBytes);
      return bytes ? done(on_header(*bytes)) : kNothing;
    }
    case Place::kExtension: {
      const size_t count = std::min<size_t>(left_, chunk.size());
      chunk.remove_prefix(count);
      left_ -= static_cast<uint32_t>(count);
      if (left_ == 0) place_ = Place::kFieldCount;
      return kNothing;
    }
    case Place::kFieldCount: {
      const auto bytes = take_fixed(chunk, 2);
      return bytes ? done(on_field_count(*bytes)) : kNothing;
    }
    case Place::kFieldLength: {
      const auto bytes = take_fixed(chunk, 4);
      return bytes ? on_field_length(*bytes) : kNothing;
    }
    case Place::kField:
      return on_field(chunk);
    case Place::kEnded:
      break;
  }
  return error("data behind the trailer");
}

std::optional<std::string_view> BinaryRows::take_fixed(std::string_view& chunk, size_t count) {
  if (fixed_bytes_ == 0 && chunk.size() >= count) {
    const std::string_view bytes = chunk.substr(0, count);
    chunk.remove_prefix(count);
    return bytes;
  }
  const size_t more = std::min(count - fixed_bytes_, chunk.size());
  std::memcpy(fixed_.data() + fixed_bytes_, chunk.data(), more);
  chunk.remove_prefix(more);
  fixed_bytes_ += more;
  if (fixed_bytes_ < count) return std::nullopt;
  fixed_bytes_ = 0;
  return std::string_view(fixed_.data(), count);
}

Status BinaryRows::on_header(std::string_view header) {
  if (!header.starts_with(kSignature))
    return error("the data does not begin with the signature of binary COPY");
  if ((read_u32(header.data() + 11) & kCriticalFlags) != 0)
    return error("unknown critical flags in the header");
  left_ = read_u32(header.data() + 15);
  if (left_ > 0x7fffffffu) return error("the header's extension has a negative length");
  place_ = left_ == 0 ? Place::kFieldCount : Place::kExtension;
  return {};
}

Status BinaryRows::on_field_count(std::string_view bytes) {
  const auto count = static_cast<int16_t>(read_u16(bytes.data()));
  if (count == -1) {
    place_ = Place::kEnded;
    return {};
  }
  ++row_;
  column_ = 0;
  column_count_ = count;
  if (count <= key_column_) return error("the row ends before the shard key's column");
  partial_key_.clear();
  place_ = Place::kFieldLength;
  return {};
}

NextCopyKey BinaryRows::on_field_length(std::string_view bytes) {
  const uint32_t length = read_u32(bytes.data());
  const bool is_key = column_ == key_column_;
  if (length == kNull) {
    end_field();
    return is_key ? NextCopyKey(CopyKey{row_, true, true, {}}) : kNothing;
  }
  if (length > 0x7fffffffu) return error("a field has a negative length");
  if (length == 0) {
    end_field();
    return is_key ? NextCopyKey(CopyKey{row_, false, true, {}}) : kNothing;
  }
  left_ = length;
  place_ = Place::kField;
  return kNothing;
}

NextCopyKey BinaryRows::on_field(std::string_view& chunk) {
  const size_t count = std::min<size_t>(left_, chunk.size());
  const std::string_view bytes = chunk.substr(0, count);
  chunk.remove_prefix(count);
  left_ -= static_cast<uint32_t>(count);
  const bool is_complete = left_ == 0;
  if (column_ != key_column_) {
    if (is_complete) end_field();
    return kNothing;
  }
  constexpr std::string_view kTooLong = "the shard key's value is too long";
  if (!is_complete) return partial_key_.keep(bytes) ? NextCopyKey(kNothing) : error(kTooLong);
  const auto value = partial_key_.complete(bytes);
  if (!value) return error(kTooLong);
  const auto converted = encoding_.convert(*value);
  if (!converted) return converted.error();
  end_field();
  return NextCopyKey(CopyKey{row_, false, true, *converted});
}

void BinaryRows::end_field() {
  ++column_;
  place_ = column_ < column_count_ ? Place::kFieldLength : Place::kFieldCount;
}

}  // namespace mosaic::routing
