#include "proxy/postgres/session/copy_in.h"

#include <fmt/format.h>

#include <utility>

#include "routing/postgres/key_evaluation.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::CatalogSnapshot;
using routing::CopyKey;
using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;
namespace sqlstate = routing::sqlstate;

CopyIn::CopyIn(const routing::CopyTarget& target, std::optional<ShardId> shard,
               routing::ClientEncoding encoding)
    : target_(target), encoding_(encoding), shard_(shard) {
  if (target.key_column >= 0) rows_.emplace(target, encoding);
}

Result<ShardId> CopyIn::shard_of(const CopyKey& key, const CatalogSnapshot& catalog) const {
  const routing::Table& table = catalog.tables()[target_.table];
  if (key.is_null) {
    return Error{sqlstate::kUnusableKey,
                 fmt::format("COPY: the shard key \"{}\" is null in row {}", table.key, key.row), "", ""};
  }
  const auto value = routing::read_assigned_key(table, key.is_binary, key.value);
  if (!value) {
    Error error = value.error();
    error.detail = fmt::format("COPY {}, row {}, column {}{}{}", table.name, key.row, table.key,
                               error.detail.empty() ? "" : ": ", error.detail);
    return error;
  }
  return routing::shard_of(catalog.shard_function(), *value, catalog.shard_count());
}

Result<std::optional<ShardId>> CopyIn::look_ahead(std::string_view bytes, size_t bytes_max,
                                                  const CatalogSnapshot& catalog) {
  look_ahead_.append(bytes);
  const auto key = rows_->next(bytes);
  if (!key) return key.error();
  if (*key) {
    const auto shard = shard_of(**key, catalog);
    if (!shard) return shard.error();
    shard_ = *shard;
  } else if (look_ahead_.size() > bytes_max) {
    return Error{
        sqlstate::kLimitExceeded, "COPY: the first row does not end",
        fmt::format("{} bytes without a shard key", look_ahead_.size()),
        fmt::format("say the shard first: SET mosaic.{} = ...", catalog.tables()[target_.table].key)};
  }
  return shard_;
}

Result<std::optional<ShardId>> CopyIn::end_look_ahead(const CatalogSnapshot& catalog) {
  const auto key = rows_->finish();
  if (!key) return key.error();
  if (!*key) return std::optional<ShardId>();
  const auto shard = shard_of(**key, catalog);
  if (!shard) return shard.error();
  shard_ = *shard;
  return shard_;
}

routing::ByteBuffer CopyIn::take_look_ahead() {
  rows_.emplace(target_, encoding_);
  return std::exchange(look_ahead_, routing::ByteBuffer());
}

Status CopyIn::check(std::string_view bytes, const CatalogSnapshot& catalog) {
  if (!rows_) return {};
  const bool is_end = bytes.empty();
  for (;;) {
    const Result<std::optional<CopyKey>> key = is_end ? rows_->finish() : rows_->next(bytes);
    if (!key) return key.error();
    if (!*key) return {};
    const CopyKey& found = **key;
    // Rows of one key often come together: it is on the right shard as it was before.
    const bool is_checked = !found.is_null && !checked_key_.empty() && found.value == checked_key_;
    if (!is_checked) {
      const auto shard = shard_of(found, catalog);
      if (!shard) return shard.error();
      if (*shard != *shard_) {
        const routing::Table& table = catalog.tables()[target_.table];
        return Error{sqlstate::kManyShards,
                     fmt::format("COPY {}: row {} belongs to shard {}, this COPY goes to shard {}",
                                 table.name, found.row, shard->value, shard_->value),
                     found.is_binary ? "" : fmt::format("{} = {}", table.key, found.value),
                     "sort the rows by shard and use one COPY for each; nothing of this COPY was stored"};
      }
      checked_key_ = found.value;
    }
    if (is_end) return {};
  }
}

}  // namespace mosaic::proxy
