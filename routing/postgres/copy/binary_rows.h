#pragma once
// Rows of COPY data in binary format: a header, then per row a field count and fields with their lengths,
// then a trailer (PostgreSQL manual, COPY, "Binary Format"). Called by CopyRows.

#include <array>

#include "routing/postgres/copy/row_reader.h"

namespace mosaic::routing {

class BinaryRows : public RowReader {
 public:
  BinaryRows(const CopyTarget& target, const KeyEncoding& encoding, size_t key_bytes_max);
  NextCopyKey next(std::string_view& chunk) override;
  NextCopyKey finish() override;

 private:
  // What comes next.
  enum class Place : uint8_t { kHeader, kExtension, kFieldCount, kFieldLength, kField, kEnded };

  // Takes `count` bytes, 19 at most, off the chunk; nothing until all have come.
  std::optional<std::string_view> take_fixed(std::string_view& chunk, size_t count);
  NextCopyKey step(std::string_view& chunk);
  Status on_header(std::string_view header);
  Status on_field_count(std::string_view bytes);
  NextCopyKey on_field_length(std::string_view bytes);
  NextCopyKey on_field(std::string_view& chunk);
  void end_field();
  Error error(std::string_view what) const { return copy_error(row_, column_, what); }

  const int key_column_;
  Place place_ = Place::kHeader;
  uint64_t row_ = 0;
  int column_ = 0;
  int column_count_ = 0;  // of the row being read
  uint32_t left_ = 0;     // bytes of the header's extension or of the field being read
  std::array<char, 19> fixed_{};
  size_t fixed_bytes_ = 0;
  PartialBytes partial_key_;
  KeyEncoding encoding_;
};

}  // namespace mosaic::routing
