#include "routing/postgres/copy_rows.h"

#include <fmt/format.h>

#include <cassert>

#include "routing/postgres/copy/binary_rows.h"
#include "routing/postgres/copy/line_rows.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

struct CopyRows::State {
  std::unique_ptr<RowReader> reader;
};

CopyRows::CopyRows(const CopyTarget& target, ClientEncoding client_encoding, size_t key_bytes_max)
    : state_(std::make_unique<State>()) {
  const KeyEncoding encoding(target.encoding.value_or(client_encoding), target.key_type);
  assert(target.key_column >= 0);
  if (target.format == CopyTarget::Format::kBinary) {
    state_->reader = std::make_unique<BinaryRows>(target, encoding, key_bytes_max);
  } else {
    state_->reader = std::make_unique<LineRows>(target, encoding, key_bytes_max);
  }
}

CopyRows::~CopyRows() = default;
CopyRows::CopyRows(CopyRows&&) noexcept = default;
CopyRows& CopyRows::operator=(CopyRows&&) noexcept = default;

Result<std::optional<CopyKey>> CopyRows::next(std::string_view& chunk) { return state_->reader->next(chunk); }

Result<std::optional<CopyKey>> CopyRows::finish() { return state_->reader->finish(); }

Error copy_error(uint64_t row, int column, std::string_view what) {
  const std::string place = row == 0 ? "the header" : fmt::format("row {}, column {}", row, column + 1);
  return Error{sqlstate::kUnusableKey, fmt::format("COPY: {} in {}", what, place), "",
               "Mosaic reads the shard key of each row, in the format that the COPY statement names"};
}

}  // namespace mosaic::routing
