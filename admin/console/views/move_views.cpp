#include <fmt/format.h>

#include <map>

#include "admin/console/views/view_builders.h"
#include "admin/move/move_row.h"

namespace mosaic::admin {

namespace {

std::string milliseconds(uint64_t us) {
  return us == 0 ? "" : fmt::format("{:.1f}", static_cast<double>(us) / 1000);
}

// How much of the copy is there; as the target counts it, which is about what the source has.
std::string copied(const MoveRow& row) {
  if (row.progress.bytes_total == 0) return "";
  if (row.state > MoveState::kCopying) return "100 %";
  const double share =
      static_cast<double>(row.progress.bytes) / static_cast<double>(row.progress.bytes_total);
  return fmt::format("{:.0f} %", std::min(99.0, 100 * share));
}

std::string seconds_left(const MoveRow& row) {
  const MoveProgress& progress = row.progress;
  if (row.state != MoveState::kCopying || progress.rate_bytes == 0 || progress.bytes >= progress.bytes_total)
    return "";
  return fmt::format("{}", (progress.bytes_total - progress.bytes) / progress.rate_bytes);
}

}  // namespace

ViewTable show_moves(const ViewContext& context) {
  ViewTable table{
      columns({"move#", "shard#", "source", "target", "state", "wish", "copied", "rows#", "attempts#",
               "write_pause_ms", "message", "blockers", "proxy", "created_at", "finished_at"}),
      {}};
  const auto moves = context.backend.moves(false);
  if (!moves) {
    table.rows.push_back(row(std::nullopt, std::nullopt, "", "", "not known", "", "", std::nullopt,
                             std::nullopt, "", moves.error().to_line(), "", "", "", ""));
    return table;
  }
  for (const MoveRow& move : *moves)
    table.rows.push_back(row(move.id, move.shard.value, move.source, move.target, to_text(move.state),
                             move.wish, copied(move), move.progress.rows, move.progress.attempts,
                             milliseconds(move.progress.write_pause_us), move.message, move.progress.blockers,
                             move.is_leased ? move.mover : "", move.created_at, move.finished_at));
  return table;
}

ViewTable show_move(const MoveRow& move) {
  ViewTable table{columns({"name", "value"}), {}};
  const auto add = [&](std::string_view name, const auto& value) { table.rows.push_back(row(name, value)); };
  const MoveProgress& progress = move.progress;
  add("move", move.id);
  add("shard", move.shard.value);
  add("source", move.source);
  add("target", move.target);
  add("state", to_text(move.state));
  add("wish", move.wish);
  add("message", move.message);
  add("blockers", progress.blockers);
  add("copied", copied(move));
  add("rows", progress.rows);
  add("bytes", progress.bytes);
  add("bytes_on_source", progress.bytes_total);
  add("rate_bytes_per_s", progress.rate_bytes);
  add("seconds_left", seconds_left(move));
  add("marker_ms", milliseconds(progress.marker_us));
  add("retained_wal_bytes", progress.retained_wal_bytes);
  add("rows_compared", progress.compared_rows);
  add("tables_that_differ", progress.differences);
  add("buckets_too_busy_to_compare", progress.busy_buckets);
  add("warmed_bytes", progress.warmed_bytes);
  add("statements_prepared_ahead", move.counts.prepared);
  add("attempts", progress.attempts);
  add("write_pause_ms", milliseconds(progress.write_pause_us));
  add("read_pause_ms", milliseconds(progress.read_pause_us));
  for (const char* part : {"hold", "drain", "close", "catch_up", "open", "reopen", "flip"}) {
    if (const auto at = progress.pause_us.find(part); at != progress.pause_us.end())
      table.rows.push_back(row(fmt::format("  of it {}_ms", part), milliseconds(at->second)));
  }
  add("statements_held", move.counts.held);
  add("statements_replayed", move.counts.replayed);
  add("statements_refused", move.counts.refused);
  add("longest_hold_ms", milliseconds(move.counts.longest_us));
  add("way_back", move.facts.has_way_back && move.state <= MoveState::kSoaking ? "yes" : "no");
  add("parallel", move.options.parallel);
  add("rate_limit_bytes_per_s", move.options.rate_bytes);
  add("soak_s", move.options.soak_ms / 1000);
  add("verify", to_text(move.options.verify));
  add("is_rehearsal", move.options.is_rehearsal ? "yes" : "no");
  add("proxy", move.is_leased ? move.mover : "");
  add("created_at", move.created_at);
  add("changed_at", move.changed_at);
  add("finished_at", move.finished_at);
  for (const auto& [state, us] : progress.phase_us)
    table.rows.push_back(row("ms in " + state, milliseconds(us)));
  return table;
}

}  // namespace mosaic::admin
