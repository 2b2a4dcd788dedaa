#pragma once
// Finds the shard key of each row in the data of a COPY FROM STDIN (PostgreSQL manual, COPY, "File Formats"):
// text, csv and binary, in chunks that may be cut anywhere, in bounded memory. Pure; sessions feed it what
// clients send.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "routing/postgres/sql/statement_plan.h"
#include "routing/result.h"

namespace mosaic::routing {

// The key column of one row.
struct CopyKey {
  uint64_t row = 0;  // 1 is the first data row (a header line does not count)
  bool is_null = false;
  bool is_binary =
      false;  // the type's send format, as COPY ... (FORMAT binary) carries it; else text, unescaped, as UTF8
  std::string_view value;  // valid until the next call
};

class CopyRows {
 public:
  // target.key_column must be known. `client_encoding`: what the rows are in, unless the statement's ENCODING
  // says otherwise; keys are given as UTF8. `key_bytes_max`: a longer key value is an error.
  explicit CopyRows(const CopyTarget& target, ClientEncoding client_encoding = ClientEncoding::kUtf8,
                    size_t key_bytes_max = 4096);
  ~CopyRows();
  CopyRows(CopyRows&&) noexcept;
  CopyRows& operator=(CopyRows&&) noexcept;

  // Reads on in `chunk` until the next row's key is complete and takes what it read off the front of `chunk`.
  // Nothing: the chunk is used up. Errors: kUnusableKey, naming row and column (too few columns, a malformed
  // binary row, a key in an encoding that is not converted ...).
  Result<std::optional<CopyKey>> next(std::string_view& chunk);
  // The data has ended: the key of a last row that had no line end.
  Result<std::optional<CopyKey>> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mosaic::routing
