#include "admin/move/move_store.h"

#include <fmt/format.h>

#include "admin/catalog/catalog_schema.h"
#include "admin/catalog/node_connection.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::Status;

namespace {

// Catalogs are older than moves, and some than this column of theirs.
constexpr const char* kHasMoves =
    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'counts')";

std::string number_text(uint64_t number) { return std::to_string(number); }

}  // namespace

MoveStore::MoveStore(Connection connection, std::string schema)
    : connection_(std::move(connection)), schema_(std::move(schema)) {}

Result<MoveStore> MoveStore::open(const Config& config, const StopSignal* stop) {
  const NodeConfig* node = config.find_node(config.catalog.node);
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  auto connection = Connection::open(admin_target(*node), {.connect = limit, .query = limit, .stop = stop});
  if (connection) return MoveStore(std::move(*connection), config.catalog.schema);
  Error error = connection.error();
  error.message =
      fmt::format("the catalog on node {} can not be reached: {}", config.catalog.node, error.message);
  return error;
}

std::string MoveStore::sql(std::string_view statement) const {
  std::string result(statement);
  for (size_t at = result.find("{s}"); at != std::string::npos; at = result.find("{s}", at + schema_.size()))
    result.replace(at, 3, schema_);
  return result;
}

Status MoveStore::prepare() {
  auto is_there = connection_.query(kHasMoves, {schema_ + ".moves"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) == "t") return {};
  return connection_.execute("BEGIN;\nSET LOCAL lock_timeout = '2s';\n" + catalog_nodes_ddl(schema_) +
                             catalog_moves_ddl(schema_) + "COMMIT;\n");
}

Result<uint64_t> MoveStore::create(routing::ShardId shard, const std::string& target,
                                   const MoveOptions& options) {
  auto rows = connection_.query(
      sql("INSERT INTO {s}.moves (shard, source, target, options) SELECT s.shard, s.node, $2, $3::jsonb FROM "
          "{s}.shards s "
          "JOIN {s}.nodes n ON n.name = $2 WHERE s.shard = $1 AND s.node <> $2 RETURNING move"),
      {number_text(shard.value), target, to_json(options)});
  if (!rows) {
    if (rows.error().sqlstate != routing::sqlstate::kUniqueViolation) return rows.error();
    return Error{routing::sqlstate::kObjectInUse, fmt::format("shard {} is being moved already", shard.value),
                 "", "SHOW MOVES tells of it; CANCEL MOVE or FINISH MOVE ends that move"};
  }
  if (rows->count() == 1) return static_cast<uint64_t>(rows->integer(0, 0));
  auto found =
      connection_.query(sql("SELECT node FROM {s}.shards WHERE shard = $1"), {number_text(shard.value)});
  if (!found) return found.error();
  if (found->count() == 0)
    return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no shard {}", shard.value), "",
                 "SHOW SHARDS lists them"};
  if (found->text(0, 0) == target)
    return Error{routing::sqlstate::kObjectInUse,
                 fmt::format("shard {} is on node {} already", shard.value, target), "", "name another node"};
  return Error{routing::sqlstate::kUndefinedObject, fmt::format("node \"{}\" is not in use", target), "",
               fmt::format("SHOW NODES lists those that are; ADD NODE {} prepares one", target)};
}

Result<std::vector<MoveRow>> MoveStore::read(const std::string& condition, const Connection::Values& values) {
  auto rows = connection_.query(
      sql("SELECT move, shard, source, target, state, wish, options, facts, progress, message, mover, lease, "
          "coalesce(lease_until > now(), false), created_at, changed_at, coalesce(finished_at::text, ''), "
          "(extract(epoch FROM now() - changed_at) * 1000)::bigint, counts FROM {s}.moves " +
          condition),
      values);
  if (!rows) return rows.error();
  std::vector<MoveRow> list;
  for (int i = 0; i < rows->count(); ++i) {
    MoveRow row;
    row.id = static_cast<uint64_t>(rows->integer(i, 0));
    row.shard.value = static_cast<uint32_t>(rows->integer(i, 1));
    row.source = rows->text(i, 2);
    row.target = rows->text(i, 3);
    const auto state = parse_move_state(rows->text(i, 4));
    if (!state)
      return Error{routing::sqlstate::kConfigError,
                   fmt::format("move {} is in a state that is not known", row.id),
                   std::string(rows->text(i, 4)), "a newer version of Mosaic has begun it: go on with that"};
    row.state = *state;
    row.wish = rows->text(i, 5);
    if (Status status = read_json(rows->text(i, 6), rows->text(i, 7), rows->text(i, 8), row); !status)
      return status.error();
    row.message = rows->text(i, 9);
    row.mover = rows->text(i, 10);
    row.lease = static_cast<uint64_t>(rows->integer(i, 11));
    row.is_leased = rows->text(i, 12) == "t";
    row.created_at = rows->text(i, 13);
    row.changed_at = rows->text(i, 14);
    row.finished_at = rows->text(i, 15);
    row.in_state_ms = static_cast<uint64_t>(rows->integer(i, 16));
    if (Status status = read_counts(rows->text(i, 17), row.counts); !status) return status.error();
    list.push_back(std::move(row));
  }
  return list;
}

Result<std::vector<MoveRow>> MoveStore::list(bool only_open) {
  auto is_there = connection_.query(kHasMoves, {schema_ + ".moves"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") return std::vector<MoveRow>();
  return read(only_open ? "WHERE finished_at IS NULL ORDER BY move" : "ORDER BY move", {});
}

Result<MoveRow> MoveStore::find(uint64_t id) {
  auto rows = read("WHERE move = $1", {number_text(id)});
  if (!rows) return rows.error();
  if (rows->empty())
    return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no move {}", id), "",
                 "SHOW MOVES lists them"};
  return std::move(rows->front());
}

Result<std::optional<MoveRow>> MoveStore::claim(uint64_t id, const std::string& mover, uint32_t lease_ms) {
  auto taken = connection_.query(
      sql("UPDATE {s}.moves SET lease = lease + 1, mover = $2, lease_until = now() + $3 * interval '1 ms' "
          "WHERE move = $1 "
          "AND finished_at IS NULL AND (lease_until IS NULL OR lease_until < now()) RETURNING move"),
      {number_text(id), mover, number_text(lease_ms)});
  if (!taken) return taken.error();
  if (taken->count() == 0) return std::optional<MoveRow>();
  auto row = find(id);
  if (!row) return row.error();
  return std::optional(std::move(*row));
}

Status MoveStore::renew(const MoveRow& row, uint32_t lease_ms) {
  auto renewed = connection_.query(sql("UPDATE {s}.moves SET lease_until = now() + $3 * interval '1 ms' "
                                       "WHERE move = $1 AND mover = $2 RETURNING move"),
                                   {number_text(row.id), row.mover, number_text(lease_ms)});
  if (!renewed) return renewed.error();
  if (renewed->count() == 1) return {};
  return Error{routing::sqlstate::kStaleMover, fmt::format("move {} has another mover now", row.id), "", ""};
}

Status MoveStore::take_lease_anew(MoveRow& row) {
  auto taken = connection_.query(
      sql("UPDATE {s}.moves SET lease = lease + 1 WHERE move = $1 AND lease = $2 RETURNING lease, state"),
      {number_text(row.id), number_text(row.lease)});
  if (!taken) return taken.error();
  const auto state = taken->count() == 1 ? parse_move_state(taken->text(0, 1)) : std::nullopt;
  if (!state)
    return Error{routing::sqlstate::kStaleMover, fmt::format("move {} has another mover now", row.id), "",
                 ""};
  row.lease = static_cast<uint64_t>(taken->integer(0, 0));
  row.state = *state;
  return {};
}

Status MoveStore::give_up(const MoveRow& row) {
  auto given =
      connection_.query(sql("UPDATE {s}.moves SET lease_until = NULL WHERE move = $1 AND lease = $2"),
                        {number_text(row.id), number_text(row.lease)});
  return given ? Status() : Status(given.error());
}

Result<std::string> MoveStore::node_of(routing::ShardId shard) {
  auto found =
      connection_.query(sql("SELECT node FROM {s}.shards WHERE shard = $1"), {number_text(shard.value)});
  if (!found) return found.error();
  if (found->count() == 0)
    return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no shard {}", shard.value), "",
                 ""};
  return std::string(found->text(0, 0));
}

Status MoveStore::set_counts(uint64_t id, const std::string& proxy, const proxy::MovingCounts& counts) {
  auto set = connection_.query(
      sql("UPDATE {s}.moves SET counts = counts || jsonb_build_object($2::text, $3::jsonb) WHERE move = $1"),
      {number_text(id), proxy, to_json(counts)});
  return set ? Status() : Status(set.error());
}

Status MoveStore::set_wish(uint64_t id, const std::string& wish) {
  auto set = connection_.query(
      sql("UPDATE {s}.moves SET wish = $2 WHERE move = $1 AND finished_at IS NULL RETURNING move"),
      {number_text(id), wish});
  if (!set) return set.error();
  if (set->count() == 1) return {};
  auto row = find(id);
  if (!row) return row.error();
  return Error{routing::sqlstate::kObjectInUse,
               fmt::format("move {} has ended: it is {}", id, to_text(row->state)), "", ""};
}

Status MoveStore::save(const MoveRow& row, MoveState state) {
  auto saved = connection_.query(
      sql("UPDATE {s}.moves SET state = $3, facts = $4::jsonb, progress = $5::jsonb, message = $6, wish = "
          "CASE WHEN wish = $7 THEN '' "
          "ELSE wish END, changed_at = CASE WHEN state = $3 THEN changed_at ELSE now() END, finished_at = "
          "CASE WHEN "
          "$8 THEN now() END, lease_until = CASE WHEN $8 THEN NULL ELSE lease_until END WHERE move = $1 AND "
          "lease = "
          "$2 RETURNING move"),
      {number_text(row.id), number_text(row.lease), std::string(to_text(state)), to_json(row.facts),
       to_json(row.progress), row.message, row.wish == "pause" ? "" : row.wish,
       is_final(state) ? "true" : "false"});
  if (!saved) return saved.error();
  if (saved->count() == 1) return {};
  return Error{routing::sqlstate::kStaleMover, fmt::format("move {} has another mover now", row.id), "", ""};
}

Status MoveStore::save_progress(const MoveRow& row) {
  auto saved = connection_.query(
      sql("UPDATE {s}.moves SET progress = $3::jsonb, message = $4 WHERE move = $1 AND lease = $2"),
      {number_text(row.id), number_text(row.lease), to_json(row.progress), row.message});
  return saved ? Status() : Status(saved.error());
}

Status MoveStore::hold(const MoveRow& row, uint32_t for_ms) {
  auto held = connection_.query(sql("SELECT {s}.hold_shard($1, $2, $3)"),
                                {number_text(row.id), number_text(row.lease), number_text(for_ms)});
  return held ? Status() : Status(held.error());
}

Status MoveStore::release(const MoveRow& row) { return hold(row, 0); }

Status MoveStore::flip(const MoveRow& row, MoveState to_state, const std::string& to_node) {
  auto flipped = connection_.query(sql("SELECT {s}.switch_shard($1, $2, $3, $4, $5, $6::jsonb)"),
                                   {number_text(row.id), number_text(row.lease),
                                    std::string(to_text(row.state)), std::string(to_text(to_state)), to_node,
                                    fmt::format(R"({{"switched_lsn": "{}"}})", row.facts.switched_lsn)});
  return flipped ? Status() : Status(flipped.error());
}

}  // namespace mosaic::admin
