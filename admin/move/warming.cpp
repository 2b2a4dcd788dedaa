#include "admin/move/warming.h"

#include <fmt/format.h>

#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

using routing::Result;
using routing::Status;

namespace {

// Name, and its table's name where it is an index; $1: the schema, quoted.
constexpr const char* kHottest = R"sql(
SELECT name, of_table FROM (
  SELECT relname AS name, '' AS of_table, heap_blks_hit + heap_blks_read AS blocks
  FROM pg_statio_all_tables WHERE schemaname = (SELECT nspname FROM pg_namespace WHERE oid = $1::regnamespace)
  UNION ALL
  SELECT indexrelname, relname, idx_blks_hit + idx_blks_read FROM pg_statio_all_indexes WHERE schemaname = (SELECT nspname FROM pg_namespace WHERE oid = $1::regnamespace)) used
WHERE blocks > 0 ORDER BY blocks DESC)sql";

// Half of shared_buffers, in bytes; the function of pg_prewarm, quoted, or nothing.
constexpr const char* kMeans = R"sql(
SELECT setting::bigint * 8192 / 2, coalesce((SELECT quote_ident(nspname) || '.pg_prewarm' FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_prewarm'), '')
FROM pg_settings WHERE name = 'shared_buffers')sql";

}  // namespace

Result<uint64_t> warm_shard(Connection& source, Connection& target, const MoveScripts& scripts) {
  auto hottest = source.query(kHottest, {scripts.quoted_schema()});
  if (!hottest) return hottest.error();
  auto means = target.query(kMeans);
  if (!means) return means.error();
  const auto room = static_cast<uint64_t>(means->integer(0, 0));
  const std::string prewarm(means->text(0, 1));
  uint64_t bytes = 0;
  for (int row = 0; row < hottest->count(); ++row) {
    const std::string name = scripts.table(std::string(hottest->text(row, 0)));
    const std::string of_table(hottest->text(row, 1));
    auto size = target.query("SELECT coalesce(pg_relation_size(to_regclass($1)), 0)", {name});
    if (!size) return size.error();
    const auto relation_bytes = static_cast<uint64_t>(size->integer(0, 0));
    if (relation_bytes == 0 || bytes + relation_bytes > room) continue;
    // Without the extension: an index is read by whoever counts its table and may not scan that.
    if (prewarm.empty()) {
      const Status set =
          target.execute(of_table.empty() ? "RESET enable_seqscan" : "SET enable_seqscan = off");
      if (!set) return set.error();
    }
    auto read =
        !prewarm.empty()
            ? target.query(fmt::format("SELECT {}($1::regclass)", prewarm), {name})
            : target.query("SELECT count(*) FROM " + (of_table.empty() ? name : scripts.table(of_table)));
    if (!read) return read.error();
    bytes += relation_bytes;
  }
  return bytes;
}

}  // namespace mosaic::admin
