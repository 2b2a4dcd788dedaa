#include "admin/move/shard_comparison.h"

#include <fmt/format.h>

#include <map>

#include "admin/move/bucket_doubts.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::quote_identifier;
using routing::Result;
using routing::Status;

namespace {

constexpr uint32_t kBuckets = 256;
constexpr uint32_t kSampledBuckets = 16;
constexpr int kRounds = 12;
constexpr std::chrono::milliseconds kBarrierLimit{30'000};

// Both sides write values alike.
constexpr const char* kPinnedSettings =
    "SET extra_float_digits = 3; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = "
    "'UTC'; "
    "SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; SET search_path = "
    "pg_catalog";

std::string bucket_query(const MoveScripts& scripts, const MoveTable& table, const std::string& condition) {
  std::string key = "t";
  if (table.has_key) {
    key = "ROW(";
    for (size_t i = 0; i < table.key.size(); ++i)
      key += (i == 0 ? "t." : ", t.") + quote_identifier(table.key[i]);
    key += ")";
  }
  const std::string bucket = fmt::format("(hashtextextended({}::text, 0) & {})", key, kBuckets - 1);
  // XOR would not see the same row twice.
  const std::string hash =
      table.has_key ? "bit_xor(hashtextextended(t::text, 1))" : "sum(hashtextextended(t::text, 1)::numeric)";
  return fmt::format("SELECT {0}, count(*), {1} FROM ONLY {2} t{3} GROUP BY 1", bucket, hash,
                     scripts.table(table.name),
                     condition.empty() ? "" : fmt::format(" WHERE {} {}", bucket, condition));
}

Result<Buckets> read_buckets(Connection& node, const std::string& query, uint64_t* rows) {
  auto read = node.query(query);
  if (!read) return read.error();
  Buckets buckets;
  for (int row = 0; row < read->count(); ++row) {
    buckets[read->integer(row, 0)] = fmt::format("{} {}", read->text(row, 1), read->text(row, 2));
    if (rows != nullptr) *rows += static_cast<uint64_t>(read->integer(row, 1));
  }
  return buckets;
}

std::string in_list(const Doubts& doubts) {
  std::string list = "IN (";
  for (const auto& [bucket, ignored] : doubts)
    list += (list.back() == '(' ? "" : ", ") + std::to_string(bucket);
  return list + ")";
}

struct Comparison {
  Connection& source;
  Connection& target;
  const MoveScripts& scripts;
  Way way;
  ComparisonResult result;

  Status compare(const MoveTable& table, bool is_sample) {
    std::string condition = is_sample ? fmt::format("< {}", kSampledBuckets) : "";
    Doubts doubts;
    size_t differing = 0;
    for (int round = 0; round < kRounds; ++round) {
      const std::string query = bucket_query(scripts, table, condition);
      auto before = read_buckets(source, query, round == 0 ? &result.rows : nullptr);
      if (!before) return before.error();
      if (auto marker = send_marker(source, target, scripts, way, kBarrierLimit); !marker)
        return marker.error();
      auto there = read_buckets(target, query, nullptr);
      if (!there) return there.error();
      if (*before == *there) return {};
      auto after = read_buckets(source, query, nullptr);
      if (!after) return after.error();
      Doubts left = doubts_of(*before, *there, *after, doubts);
      const bool is_hopeless = round > 0 && is_too_busy(left, doubts);
      doubts = std::move(left);
      if (doubts.empty()) return {};
      if (is_hopeless) break;
      condition = in_list(doubts);
      differing = count_differences(doubts);
      if (differing == doubts.size()) break;
    }
    if (differing > 0)
      result.differences.push_back(fmt::format("{}: {} of {} buckets", table.name, differing, kBuckets));
    result.busy_buckets += doubts.size() - differing;
    return {};
  }
};

}  // namespace

Result<ComparisonResult> compare_shard(Connection& source, Connection& target, const MoveScripts& scripts,
                                       const MoveRow& row, Way way) {
  for (Connection* node : {&source, &target}) {
    if (Status status = node->execute(kPinnedSettings); !status) return status.error();
  }
  Comparison comparison{source, target, scripts, way, {}};
  const bool is_sample = row.options.verify == MoveOptions::Verify::kSample;
  for (const MoveTable& table : row.facts.tables) {
    if (Status status = comparison.compare(table, is_sample); !status) return status.error();
  }
  return std::move(comparison.result);
}

}  // namespace mosaic::admin
