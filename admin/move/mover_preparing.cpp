// How a mover prepares: the shard read, the target made, closed, the source fenced, open, and a slot whose
// snapshot is what will be copied.

#include <fmt/format.h>

#include <future>
#include <set>

#include "admin/move/fault_points.h"
#include "admin/move/move_objects.h"
#include "admin/move/mover.h"
#include "admin/move/preflight.h"
#include "admin/move/schema_dump.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::quote_literal;
using routing::Result;
using routing::Status;

// Whatever an attempt before has made goes first.
Mover::Outcome Mover::prepare() {
  snapshot_holder_.reset();
  if (const Outcome cleared = clear_up(Side::kTarget, "", ""); cleared.event != MoveEvent::kDone)
    return cleared;
  auto findings = find_obstacles(nodes_, schema());
  if (!findings) return outcome_of(findings.error());
  for (const MoveFinding& finding : *findings) {
    if (!finding.is_blocking) continue;
    row_.message = finding.what + (finding.hint.empty() ? "" : "; " + finding.hint);
    return finding.may_pass ? wait_for_room() : later(MoveEvent::kFailed);
  }
  if (Status status = read_shard(); !status) return outcome_of(status.error(), MoveEvent::kFailed);
  Status status = guard_nodes();  // clearing up has taken that away
  if (status) status = make_target(pre_data_);
  if (status) status = make_source();
  if (!status) {
    const bool is_locked = status.error().sqlstate == routing::sqlstate::kLockNotAvailable;
    return outcome_of(status.error(), is_locked ? MoveEvent::kAgain : MoveEvent::kFailed);
  }
  row_.progress.blockers.clear();
  auto snapshot = make_slot();
  if (!snapshot) {
    const bool is_full = snapshot.error().sqlstate == routing::sqlstate::kConfigurationLimit;
    const Outcome outcome = outcome_of(snapshot.error(), MoveEvent::kFailed);
    return is_full ? wait_for_room() : outcome;
  }
  snapshot_ = *snapshot;
  auto target = nodes_.connection(Side::kTarget);
  if (!target) return outcome_of(target.error());
  status = (*target)->execute(
      scripts_.subscription(Way::kForward, connection_text(nodes_.target(Side::kSource), true)));
  if (status) status = pass_fault_point("prepare.subscribed");
  if (!status) return outcome_of(status.error(), MoveEvent::kFailed);
  row_.message.clear();
  return later(MoveEvent::kDone);
}

// Other moves give back what they use; without any it is lacking for good.
Mover::Outcome Mover::wait_for_room() {
  auto others = store_.list(true);
  if (!others) return outcome_of(others.error());
  if (others->size() < 2) return later(MoveEvent::kFailed);
  row_.message = "waits for other moves: " + row_.message;
  return later();
}

Status Mover::read_shard() {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return source.error();
  auto dump = dump_schema(nodes_.target(Side::kSource), schema(), interrupt_);
  if (!dump) return dump.error();
  MoveFacts facts;
  pre_data_ = std::move(dump->pre_data);
  facts.post_data = std::move(dump->post_data);
  auto tables = (*source)->query(std::string(kMoveTablesQuery), {scripts_.quoted_schema()});
  if (!tables) return tables.error();
  row_.progress = {};
  for (int i = 0; i < tables->count(); ++i) {
    MoveTable table;
    table.name = tables->text(i, 0);
    table.bytes = static_cast<uint64_t>(tables->integer(i, 1));
    table.pages = static_cast<uint64_t>(tables->integer(i, 2));
    table.is_binary = tables->text(i, 3) == "t";
    if (Status status = read_names(tables->text(i, 4), table.key); !status) return status;
    table.has_key = !table.key.empty();
    row_.progress.bytes_total += table.bytes;
    facts.tables.push_back(std::move(table));
  }
  auto sequences = (*source)->query(std::string(kMoveSequencesQuery), {scripts_.quoted_schema()});
  if (!sequences) return sequences.error();
  for (int i = 0; i < sequences->count(); ++i) facts.sequences.emplace_back(sequences->text(i, 0));
  auto grants = (*source)->query(std::string(kMoveGrantsQuery), {scripts_.quoted_schema()});
  if (!grants) return grants.error();
  facts.grant_use = grants->text(0, 0);
  facts.revoke_use = grants->text(0, 1);
  facts.grant_write = grants->text(0, 2);
  facts.revoke_write = grants->text(0, 3);
  facts.grant_read = grants->text(0, 4);
  facts.revoke_read = grants->text(0, 5);
  auto fingerprint = (*source)->query(scripts_.fingerprint());
  if (!fingerprint) return fingerprint.error();
  facts.fingerprint = fingerprint->text(0, 0);
  row_.facts = std::move(facts);
  return pass_fault_point("prepare.dumped");
}

// Born closed.
Status Mover::make_target(const std::string& pre_data) {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return source.error();
  auto record = (*source)->query(
      fmt::format("SELECT digest, grantees FROM {}.shard_schemas WHERE shard = $1", config_.catalog.schema),
      {std::to_string(row_.shard.value)});
  if (!record) return record.error();
  std::string script = scripts_.begin_guarded(row_.lease) + scripts_.fence_function(true) + pre_data + "\n";
  for (const MoveTable& table : row_.facts.tables) script += scripts_.fence_trigger(table.name);
  script += row_.facts.revoke_write + "\n" + row_.facts.revoke_use + "\n" +
            scripts_.marker_table(Way::kForward, true) + scripts_.marker_table(Way::kBack, false);
  if (record->count() > 0)
    script += fmt::format("INSERT INTO {}.shard_schemas (shard, digest, grantees) VALUES ({}, {}, {});\n",
                          config_.catalog.schema, row_.shard.value, quote_literal(record->text(0, 0)),
                          quote_literal(record->text(0, 1)));
  auto target = nodes_.open(Side::kTarget);  // the dump changes the session's settings
  if (!target) return target.error();
  if (Status status = target->execute(script); !status) return status;
  if (Status status = revoke_more(**source, *target); !status) return status;
  if (Status status = target->execute("COMMIT"); !status) return status;
  return pass_fault_point("prepare.target");
}

// Nobody may do more there than here, whatever the target's default privileges are.
Status Mover::revoke_more(Connection& source, Connection& target) {
  const std::string query(kMoveRevokesQuery);
  auto here = source.query(query, {scripts_.quoted_schema()});
  if (!here) return here.error();
  auto there = target.query(query, {scripts_.quoted_schema()});
  if (!there) return there.error();
  std::set<std::string, std::less<>> known;
  for (int row = 0; row < here->count(); ++row) known.emplace(here->text(row, 0));
  std::string script;
  for (int row = 0; row < there->count(); ++row) {
    if (!known.contains(there->text(row, 0))) script += std::string(there->text(row, 0)) + ";\n";
  }
  return script.empty() ? Status() : target.execute(script);
}

Status Mover::make_source() {
  auto source = nodes_.connection(Side::kSource);
  if (!source) return source.error();
  Status status = (*source)->execute(scripts_.begin_guarded(row_.lease) + scripts_.fence_function(false) +
                                     scripts_.marker_table(Way::kForward, false) +
                                     scripts_.marker_table(Way::kBack, true) + "COMMIT;\n");
  if (!status) return status;
  // A trigger needs a lock that writers wait behind: table by table, asking briefly.
  for (const MoveTable& table : row_.facts.tables) {
    status = execute_patiently(**source, scripts_.fence_trigger(table.name), [&] {
      auto holders = find_holders(**source, scripts_);
      row_.message = fmt::format("waits for a lock on table {}", table.name);
      if (holders) row_.progress.blockers = *holders;
      static_cast<void>(store_.save_progress(row_));
    });
    if (!status) return status;
  }
  if (status = pass_fault_point("prepare.source"); !status) return status;
  status = (*source)->execute(scripts_.publication(Way::kForward));
  if (!status) return status;
  return pass_fault_point("prepare.published");
}

// A slot is made once all transactions have ended that write on its node at this moment; who they are is told
// meanwhile.
Result<Rows> Mover::wait_for_slot(Side side, const std::function<Result<Rows>()>& make) {
  constexpr int kLookMs = 200;  // how often it is asked who is waited for
  auto made = std::async(std::launch::async, make);
  auto node = nodes_.connection(side, MoveNodes::Use::kProbe);
  while (made.wait_for(std::chrono::milliseconds(kLookMs)) != std::future_status::ready) {
    if (!node) continue;
    auto rows = (*node)->query(
        "SELECT coalesce(string_agg(who, '; '), '') FROM ("
        "SELECT format('pid %s (%s) for %s s', pid, usename, extract(epoch FROM now() - xact_start)::int) AS "
        "who "
        "FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND xact_start < now() - interval '1 s' UNION "
        "ALL "
        "SELECT format('prepared transaction %L for %s s', gid, extract(epoch FROM now() - prepared)::int) "
        "FROM pg_prepared_xacts) open");
    if (rows) row_.progress.blockers = rows->text(0, 0);
    row_.message = fmt::format("waits for transactions that were open on {} before it",
                               side == Side::kSource ? row_.source : row_.target);
    static_cast<void>(store_.save_progress(row_));
  }
  row_.progress.blockers.clear();
  row_.message.clear();
  return made.get();
}

Result<std::string> Mover::make_slot() {
  auto holder = nodes_.open(Side::kSource, "", true);
  if (!holder) return holder.error();
  snapshot_holder_.emplace(std::move(*holder));
  auto slot = wait_for_slot(Side::kSource, [&] {
    return snapshot_holder_->run(fmt::format(
        "CREATE_REPLICATION_SLOT \"{}\" LOGICAL pgoutput (SNAPSHOT 'export')", scripts_.lane(Way::kForward)));
  });
  if (!slot) return slot.error();
  const std::string snapshot(slot->text(0, 2));
  if (Status status = pass_fault_point("prepare.slot"); !status) return status.error();
  return snapshot;
}

}  // namespace mosaic::admin
