#pragma once
// What CopyRows asks of one format's reader. Implementations: LineRows (text and csv), BinaryRows.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "routing/postgres/copy_rows.h"
#include "routing/result.h"

namespace mosaic::routing {

using NextCopyKey = Result<std::optional<CopyKey>>;

class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual NextCopyKey next(std::string_view& chunk) = 0;
  virtual NextCopyKey finish() = 0;
};

// kUnusableKey for row `row` (from 1), column `column` (from 0).
Error copy_error(uint64_t row, int column, std::string_view what);

// How a key's bytes become those that the database keeps.
class KeyEncoding {
 public:
  KeyEncoding(ClientEncoding encoding, KeyType key_type) : encoding_(encoding), key_type_(key_type) {}
  // False: the rows' own bytes can not be told from those of characters.
  bool is_readable() const { return is_safe(encoding_); }
  std::string_view name() const { return name_of(encoding_); }
  // The result lasts until the next call.
  Result<std::string_view> convert(std::string_view bytes) {
    if (encoding_ == ClientEncoding::kUtf8 || key_type_ != KeyType::kText) return bytes;
    return to_utf8(encoding_, bytes, scratch_);
  }

 private:
  ClientEncoding encoding_;
  KeyType key_type_;
  std::string scratch_;
};

// The bytes of a value that may be cut over several chunks: a view while they stand in one, a copy otherwise.
class PartialBytes {
 public:
  explicit PartialBytes(size_t bytes_max) : bytes_max_(bytes_max) {}
  void clear() { kept_.clear(); }
  // More bytes of the value; they are copied. False when it grows longer than the limit.
  bool keep(std::string_view more) {
    if (kept_.size() + more.size() > bytes_max_) return false;
    kept_.append(more);
    return true;
  }
  // The whole value, whose last bytes are `last`; nothing when it is longer than the limit.
  std::optional<std::string_view> complete(std::string_view last) {
    if (kept_.empty()) return last.size() <= bytes_max_ ? std::optional(last) : std::nullopt;
    return keep(last) ? std::optional(std::string_view(kept_)) : std::nullopt;
  }

 private:
  size_t bytes_max_;
  std::string kept_;
};

}  // namespace mosaic::routing
