#include "admin/move/move_objects.h"

#include <fmt/format.h>

#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::quote_identifier;
using routing::quote_literal;
using routing::Result;
using routing::Status;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kLockTries = 200;
constexpr int kTriesBetween = 10;  // telling of what is waited for

}  // namespace

Result<std::string> find_holders(Connection& node, const MoveScripts& scripts) {
  auto rows = node.query(
      "WITH held AS (SELECT l.pid, l.mode, l.virtualtransaction FROM pg_locks l JOIN pg_class c ON c.oid = "
      "l.relation WHERE c.relnamespace = $1::regnamespace AND l.granted) "
      "SELECT coalesce(string_agg(DISTINCT who, '; '), '') FROM ("
      "SELECT format('pid %s (%s, %s) for %s s: %s', a.pid, a.usename, coalesce(a.client_addr::text || ':' "
      "|| "
      "a.client_port, 'local'), extract(epoch FROM now() - a.xact_start)::int, left(a.query, 60)) AS who "
      "FROM held JOIN pg_stat_activity a ON a.pid = held.pid WHERE (held.mode NOT IN ('AccessShareLock', "
      "'RowShareLock') OR a.state LIKE 'idle in transaction%') AND a.pid <> pg_backend_pid() UNION ALL "
      "SELECT format('prepared transaction %L for %s s', p.gid, extract(epoch FROM now() - p.prepared)::int) "
      "FROM held JOIN pg_locks own ON own.virtualtransaction = held.virtualtransaction AND own.pid IS NULL "
      "AND "
      "own.locktype = 'transactionid' AND own.granted JOIN pg_prepared_xacts p ON p.transaction = "
      "own.transactionid WHERE held.pid IS NULL) blocking",
      {scripts.quoted_schema()});
  if (!rows) return rows.error();
  return std::string(rows->text(0, 0));
}

Status execute_patiently(Connection& node, const std::string& statement,
                         const std::function<void()>& on_wait) {
  Status status;
  for (int i = 0; i < kLockTries; ++i) {
    status = node.execute("BEGIN;\nSET LOCAL lock_timeout = '20ms';\nSET LOCAL deadlock_timeout = '5ms';\n" +
                          statement + ";\nCOMMIT;");
    if (status) return status;
    const std::string sqlstate = status.error().sqlstate;
    if (Status rolled_back = node.execute("ROLLBACK"); !rolled_back) return rolled_back;
    if (sqlstate != routing::sqlstate::kLockNotAvailable && sqlstate != routing::sqlstate::kDeadlock) break;
    if (on_wait && i % kTriesBetween == kTriesBetween / 2) on_wait();
    if (auto slept = node.query(fmt::format("SELECT pg_sleep({})", 0.01 * std::min(i + 1, 20))); !slept)
      return slept.error();
  }
  return status;
}

Result<std::chrono::microseconds> send_marker(Connection& from, Connection& to, const MoveScripts& scripts,
                                              Way way, std::chrono::milliseconds limit) {
  const auto began = Clock::now();
  auto sent =
      from.query(fmt::format("INSERT INTO {0} SELECT coalesce(max(marker), 0) + 1 FROM {0} RETURNING marker",
                             scripts.lane_table(way)));
  if (!sent) return sent.error();
  const std::string marker(sent->text(0, 0));
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(began + limit - Clock::now());
    if (left.count() <= 0) break;
    auto notification = to.next_notification(left);
    if (!notification) return notification.error();
    if (*notification && (*notification)->channel == scripts.lane(way) && (*notification)->payload == marker)
      return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  }
  return Error{routing::sqlstate::kWaitTimeout,
               fmt::format("the target had not caught up within {} ms", limit.count()), "", ""};
}

Result<std::string> find_lane_fault(Connection& from, Connection& to, const MoveScripts& scripts, Way way,
                                    bool is_enabled) {
  auto slot =
      from.query("SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1", {scripts.lane(way)});
  if (!slot) return slot.error();
  if (slot->count() == 0) return fmt::format("slot {} is gone", scripts.lane(way));
  if (slot->text(0, 0) == "lost") return fmt::format("slot {} has lost log that it needs", scripts.lane(way));
  auto subscription =
      to.query("SELECT subenabled FROM pg_subscription WHERE subname = $1", {scripts.lane(way)});
  if (!subscription) return subscription.error();
  if (subscription->count() == 0) return fmt::format("subscription {} is gone", scripts.lane(way));
  if (is_enabled && subscription->text(0, 0) != "t")
    return fmt::format("subscription {} has stopped with an error, which its server's log tells",
                       scripts.lane(way));
  return std::string();
}

Result<uint64_t> retained_wal(Connection& from, const MoveScripts& scripts, Way way) {
  auto rows = from.query(
      "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots WHERE "
      "slot_name = $1",
      {scripts.lane(way)});
  if (!rows) return rows.error();
  return rows->count() == 0 ? 0 : static_cast<uint64_t>(std::max<int64_t>(0, rows->integer(0, 0)));
}

Status drop_subscription(Connection& node, const MoveScripts& scripts, Way way) {
  const std::string name = scripts.lane(way);
  auto there = node.query("SELECT 1 FROM pg_subscription WHERE subname = $1", {name});
  if (!there) return there.error();
  if (there->count() == 0) return {};
  // Without its slot, which is the other node's, and that may be down.
  for (const char* statement : {"ALTER SUBSCRIPTION {} DISABLE",
                                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"}) {
    if (Status status = node.execute(fmt::format(fmt::runtime(statement), name)); !status) return status;
  }
  return {};
}

Status drop_slot(Connection& node, const MoveScripts& scripts, Way way) {
  const std::string name = scripts.lane(way);
  for (int i = 0; i < kLockTries; ++i) {
    auto active = node.query(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND "
        "active_pid IS NOT NULL",
        {name});
    if (!active) return active.error();
    auto dropped = node.query(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", {name});
    if (dropped || dropped.error().sqlstate == routing::sqlstate::kUndefinedObject) return {};
    if (dropped.error().sqlstate != routing::sqlstate::kObjectInUse) return dropped.error();
    if (auto slept = node.query("SELECT pg_sleep(0.05)"); !slept) return slept.error();
  }
  return Error{routing::sqlstate::kObjectInUse, fmt::format("slot {} is still in use", name), "", ""};
}

Status drop_objects(Connection& node, const MoveScripts& scripts, const std::string& catalog_schema) {
  for (const Way way : {Way::kForward, Way::kBack}) {
    if (Status status = node.execute("DROP PUBLICATION IF EXISTS " + scripts.lane(way)); !status)
      return status;
  }
  auto triggers =
      node.query("SELECT tgrelid::regclass::text, quote_ident(tgname) FROM pg_trigger WHERE tgname = $1",
                 {scripts.prefix() + "fence"});
  if (!triggers) return triggers.error();
  for (int row = 0; row < triggers->count(); ++row) {
    const Status status = execute_patiently(
        node, fmt::format("DROP TRIGGER {} ON {}", triggers->text(row, 1), triggers->text(row, 0)));
    if (!status && status.error().sqlstate != routing::sqlstate::kUndefinedTable &&
        status.error().sqlstate != routing::sqlstate::kUndefinedObject)
      return status;
  }
  std::string script;
  for (const Way way : {Way::kForward, Way::kBack})
    script += fmt::format("DROP TABLE IF EXISTS {0};\nDROP FUNCTION IF EXISTS {0}_arrived();\n",
                          scripts.lane_table(way));
  script += fmt::format(
      "DROP FUNCTION IF EXISTS {0}.{1}fence();\nDROP TABLE IF EXISTS {0}.{1}indexed;\n"
      "DELETE FROM {0}.move_guards WHERE move = {2};\n",
      catalog_schema, scripts.prefix(), scripts.move());
  return node.execute(script);
}

Status drop_shard(Connection& node, const MoveScripts& scripts, const std::string& schema,
                  const std::string& catalog_schema, routing::ShardId shard) {
  auto tables = node.query(
      "SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
      "n.nspname = $1 "
      "AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
      {schema});
  if (!tables) return tables.error();
  for (int row = 0; row < tables->count(); ++row) {
    const Status status = execute_patiently(node, fmt::format("DROP TABLE IF EXISTS {}.{} CASCADE",
                                                              scripts.quoted_schema(), tables->text(row, 0)));
    if (!status) return status;
  }
  return execute_patiently(
      node, fmt::format("DROP SCHEMA IF EXISTS {} CASCADE; DELETE FROM {}.shard_schemas WHERE shard = {}",
                        scripts.quoted_schema(), catalog_schema, shard.value));
}

}  // namespace mosaic::admin
