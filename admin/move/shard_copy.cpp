#include "admin/move/shard_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "admin/move/fault_points.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Status;
using Clock = std::chrono::steady_clock;

ShardCopy::ShardCopy(const MoveNodes& nodes, const MoveScripts& scripts, const MoveRow& row,
                     std::string snapshot)
    : nodes_(nodes), scripts_(scripts), row_(row), snapshot_(std::move(snapshot)) {
  for (const MoveTable& table : row_.facts.tables) {  // the largest first
    if (table.pages <= kPagesPerPart) {
      parts_.push_back({&table, 0, 0});
      continue;
    }
    for (uint64_t page = 0; page < table.pages; page += kPagesPerPart)
      parts_.push_back({&table, page, page + kPagesPerPart});
    parts_.back().end_page = UINT32_MAX;  // it has grown since its pages were counted
  }
}

Status ShardCopy::run() {
  began_ = Clock::now();
  std::vector<std::thread> threads;
  const size_t count = std::clamp<size_t>(row_.options.parallel, 1, std::max<size_t>(1, parts_.size()));
  for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
  for (std::thread& thread : threads) thread.join();
  return status_;
}

void ShardCopy::work() {
  const Status status = copy_parts();
  if (status) return;
  const std::lock_guard lock(mutex_);
  if (!has_failed_.exchange(true)) status_ = status;
}

const ShardCopy::Part* ShardCopy::next_part() {
  const size_t at = has_failed_ ? parts_.size() : next_.fetch_add(1);
  return at < parts_.size() ? &parts_[at] : nullptr;
}

Status ShardCopy::copy_parts() {
  auto source = nodes_.open(Side::kSource, "-c search_path=pg_catalog");
  if (!source) return source.error();
  // Neither triggers nor foreign keys, which the source has seen to.
  auto target = nodes_.open(Side::kTarget, "-c session_replication_role=replica -c synchronous_commit=off");
  if (!target) return target.error();
  if (Status status = source->execute(
          fmt::format("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
                      routing::quote_literal(snapshot_)));
      !status)
    return status;
  while (const Part* part = next_part()) {
    if (Status status = copy(*source, *target, *part); !status) return status;
    if (Status status = pass_fault_point("copy.table"); !status) return status;
  }
  return source->execute("COMMIT");
}

Status ShardCopy::copy(Connection& source, Connection& target, const Part& part) {
  const std::string name = scripts_.table(part.table->name);
  const std::string format = part.table->is_binary ? " WITH (FORMAT binary)" : "";
  // Generated columns are not copied; a query would give them, so its columns are named.
  auto columns = source.query(
      "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
      "$1::regclass AND attnum > 0 "
      "AND NOT attisdropped AND attgenerated = ''",
      {name});
  if (!columns) return columns.error();
  const std::string list(columns->text(0, 0));
  if (list.empty()) return {};
  const std::string what =
      part.end_page == 0 ? fmt::format("{} ({})", name, list)
                         : fmt::format("(SELECT {} FROM ONLY {} WHERE ctid >= '({},0)' AND ctid < '({},0)')",
                                       list, name, part.first_page, part.end_page);
  return source.copy_rows(fmt::format("COPY {} TO STDOUT{}", what, format), target,
                          fmt::format("COPY {} ({}) FROM STDIN{}", name, list, format),
                          [this](uint64_t rows, uint64_t bytes) { on_copied(rows, bytes); });
}

// Slower where a rate is wished for, and not at all while the move is paused.
void ShardCopy::on_copied(uint64_t rows, uint64_t bytes) {
  rows_ += rows;
  bytes_ += bytes;
  const auto is_over = [this] { return nodes_.interrupt().is_raised() || has_failed_.load(); };
  while (is_paused_ && !is_over()) nodes_.interrupt().wait_ms(100);
  if (row_.options.rate_bytes == 0) return;
  const auto due = began_ + std::chrono::milliseconds(bytes_.load() * 1000 / row_.options.rate_bytes);
  while (Clock::now() < due && !is_over())
    nodes_.interrupt().wait_ms(static_cast<int>(
        std::min<int64_t>(100, std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count())));
}

}  // namespace mosaic::admin
