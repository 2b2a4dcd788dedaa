#pragma once
// The rows of a COPY FROM STDIN into a sharded table: which shard they belong to. Without a hint the first
// row decides; every row is checked. Reads rows, sends nothing; lives as long as the COPY.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "routing/byte_buffer.h"
#include "routing/catalog_snapshot.h"
#include "routing/postgres/copy_rows.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/result.h"

namespace mosaic::proxy {

class CopyIn {
 public:
  // Without the key among its columns the rows can not say where they belong: the hint alone decides.
  // `encoding`: the client's; the COPY may name another.
  CopyIn(const routing::CopyTarget& target, std::optional<routing::ShardId> shard,
         routing::ClientEncoding encoding);

  std::optional<routing::ShardId> shard() const { return shard_; }
  // The statement, kept while no server has it; an extended one is run by Execute.
  std::string text;
  bool is_extended = false;
  bool is_done = false;  // CopyDone came before a server was there

  // --- while the shard is not known ---
  // Keeps `bytes`; tells the first row's shard once it is whole. Errors: kUnusableKey, kLimitExceeded (the
  // row is longer than `bytes_max`), malformed rows.
  routing::Result<std::optional<routing::ShardId>> look_ahead(std::string_view bytes, size_t bytes_max,
                                                              const routing::CatalogSnapshot& catalog);
  // The data has ended: the last row may have no line end. Nothing: there was no row.
  routing::Result<std::optional<routing::ShardId>> end_look_ahead(const routing::CatalogSnapshot& catalog);
  // What was kept; its rows are read from the beginning again.
  routing::ByteBuffer take_look_ahead();
  bool has_look_ahead() const { return !look_ahead_.is_empty(); }

  // Whether the rows of `bytes` belong to the shard; empty: the data has ended.
  routing::Status check(std::string_view bytes, const routing::CatalogSnapshot& catalog);

 private:
  routing::Result<routing::ShardId> shard_of(const routing::CopyKey& key,
                                             const routing::CatalogSnapshot& catalog) const;

  routing::CopyTarget target_;
  routing::ClientEncoding encoding_;
  std::optional<routing::CopyRows> rows_;  // none: they can not be checked
  std::optional<routing::ShardId> shard_;
  routing::ByteBuffer look_ahead_;
  std::string checked_key_;  // of the row before, as it came
};

}  // namespace mosaic::proxy
