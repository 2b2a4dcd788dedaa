#include "admin/move/preflight.h"

#include <fmt/format.h>

#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::quote_identifier;
using routing::Result;
using routing::Status;

namespace {

using Findings = std::vector<MoveFinding>;

// Rows are (what, hint); $1::text is the shard's schema.
struct SchemaCheck {
  bool is_blocking;
  const char* query;
};

constexpr SchemaCheck kSchemaChecks[] = {
    {true, R"sql(SELECT format('schema %s is not there', $1::text), 'mosaic init makes it'
      WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text))sql"},
    {true,
     R"sql(SELECT format('table %s has no primary key and no replica identity: its updates could not follow', c.oid::regclass),
        format('ALTER TABLE %1$s ADD PRIMARY KEY (...), or ALTER TABLE %1$s REPLICA IDENTITY FULL where it is small', c.oid::regclass)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relkind = 'r' AND
        (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))))sql"},
    {true, R"sql(SELECT format('table %s is unlogged: its changes are in no log', c.oid::regclass),
        format('ALTER TABLE %s SET LOGGED', c.oid::regclass)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p')
        AND c.relpersistence = 'u')sql"},
    {true,
     R"sql(SELECT format('%s is a %s, which is not moved', c.oid::regclass, CASE c.relkind WHEN 'f' THEN 'foreign table'
          ELSE 'materialized view' END), 'drop it, and make it again behind the move'
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relkind IN ('f', 'm'))sql"},
    {true,
     R"sql(SELECT format('trigger %s on %s fires for replicated rows as well: it would run twice', t.tgname, c.oid::regclass),
        format('ALTER TABLE %s ENABLE TRIGGER %I', c.oid::regclass, t.tgname)
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND NOT t.tgisinternal AND t.tgenabled IN ('A', 'R'))sql"},
    {true,
     R"sql(SELECT format('foreign key %s of %s refers to %s, outside of the shard', k.conname, k.conrelid::regclass, k.confrelid::regclass),
        format('ALTER TABLE %s DROP CONSTRAINT %I, or make %s a reference table', k.conrelid::regclass, k.conname, k.confrelid::regclass)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class o ON o.oid = k.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace
      WHERE k.contype = 'f' AND n.nspname = $1::text AND m.nspname NOT IN ($1::text, 'public'))sql"},
    {true,
     R"sql(SELECT format('foreign key %s of %s, outside of the shard, refers to %s', k.conname, k.conrelid::regclass, k.confrelid::regclass),
        format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class o ON o.oid = k.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace
      WHERE k.contype = 'f' AND n.nspname <> $1::text AND m.nspname = $1::text)sql"},
    {false,
     R"sql(SELECT format('publication %s publishes tables of the shard: what is written behind the move is not in it', quote_ident(pubname)),
        format('make it on the target too, behind the move; ALTER PUBLICATION %I DROP TABLE ... here', pubname)
      FROM pg_publication_tables WHERE schemaname = $1::text AND pubname NOT LIKE 'mosaic\\_m%' AND NOT EXISTS (SELECT FROM
        pg_publication p WHERE p.pubname = pg_publication_tables.pubname AND p.puballtables) GROUP BY pubname)sql"},
    {true,
     R"sql(SELECT format('index %s is not valid: CREATE INDEX CONCURRENTLY runs, or has failed', i.indexrelid::regclass),
        format('wait for it, or DROP INDEX %s', i.indexrelid::regclass)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND NOT i.indisvalid AND c.relkind = 'r')sql"},
};

// Of a node; rows are (is_blocking, what, hint). $1::text: its name.
constexpr const char* kNodeChecks[] = {
    R"sql(SELECT true, format('node %s: wal_level is %s', $1::text, current_setting('wal_level')),
        'ALTER SYSTEM SET wal_level = logical, and restart it' WHERE current_setting('wal_level') <> 'logical')sql",
    R"sql(SELECT true, format('node %s: role %s is no superuser, which PostgreSQL 15 wants of who makes a subscription', $1::text, current_user),
        format('ALTER ROLE %I SUPERUSER, or name one in nodes.%s.admin_user', current_user, $1::text)
      WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))sql",
    R"sql(SELECT false, format('node %s: wal_retrieve_retry_interval is %s: a move to it that begins sooner behind another waits',
          $1::text, current_setting('wal_retrieve_retry_interval')),
        'ALTER SYSTEM SET wal_retrieve_retry_interval = ''200ms''; SELECT pg_reload_conf()'
      WHERE current_setting('wal_retrieve_retry_interval')::interval > interval '1 second')sql",
    R"sql(SELECT false, format('node %s: publication %s is FOR ALL TABLES: who follows it sees rows that are copied as new ones',
          $1::text, quote_ident(pubname)), 'let who follows it expect rows that it has already'
      FROM pg_publication WHERE puballtables)sql",
    R"sql(SELECT true, format('node %s is a standby', $1::text), 'name its primary in the configuration' WHERE pg_is_in_recovery())sql",
};

// What moves use up while they run.
constexpr const char* kRoomChecks[] = {
    R"sql(SELECT true, format('node %s: no free replication slot (max_replication_slots = %s)', $1::text, current_setting('max_replication_slots')),
        'ALTER SYSTEM SET max_replication_slots, and restart it; or drop a slot that nobody uses (pg_replication_slots)'
      WHERE (SELECT count(*) FROM pg_replication_slots) >= current_setting('max_replication_slots')::int)sql",
    R"sql(SELECT true, format('node %s: no free sender of the log (max_wal_senders = %s)', $1::text, current_setting('max_wal_senders')),
        'ALTER SYSTEM SET max_wal_senders, and restart it'
      WHERE (SELECT count(*) FROM pg_stat_replication) >= current_setting('max_wal_senders')::int)sql",
    R"sql(SELECT true, format('node %s: no free worker for a subscription (max_logical_replication_workers = %s)', $1::text,
          current_setting('max_logical_replication_workers')),
        'ALTER SYSTEM SET max_logical_replication_workers, and restart it'
      WHERE (SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL) >=
        current_setting('max_logical_replication_workers')::int)sql",
};

// What the making of a slot waits for.
constexpr const char* kSlowWriters = R"sql(
SELECT false, format('node %s: process %s has had a transaction open for %s s (%s, %s); the copy begins when it ends', $1::text, pid,
    extract(epoch FROM now() - xact_start)::int, usename, left(coalesce(query, ''), 60)),
  format('wait, or SELECT pg_terminate_backend(%s)', pid)
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND now() - xact_start > interval '5 seconds'
UNION ALL
SELECT false, format('node %s: transaction %s is prepared since %s; the copy begins when it ends', $1::text, quote_literal(gid), prepared),
  format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', gid)
FROM pg_prepared_xacts WHERE database = current_database())sql";

Status add_schema_findings(Connection& source, const std::string& schema, Findings& findings) {
  for (const auto& [is_blocking, query] : kSchemaChecks) {
    auto rows = source.query(query, {schema});
    if (!rows) return rows.error();
    for (int row = 0; row < rows->count(); ++row)
      findings.push_back({is_blocking, std::string(rows->text(row, 0)), std::string(rows->text(row, 1))});
  }
  return {};
}

Status add_node_findings(Connection& connection, const char* query, const std::string& node,
                         Findings& findings, bool may_pass = false) {
  auto rows = connection.query(query, {node});
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row)
    findings.push_back({rows->text(row, 0) == "t", std::string(rows->text(row, 1)),
                        std::string(rows->text(row, 2)), may_pass});
  return {};
}

Status compare_nodes(Connection& source, Connection& target, const std::string& schema,
                     const MoveNodes& nodes, Findings& findings) {
  constexpr const char* kCharacter =
      "SELECT getdatabaseencoding(), datcollate, current_setting('server_version_num')::int / 10000 FROM "
      "pg_database "
      "WHERE datname = current_database()";
  auto here = source.query(kCharacter), there = target.query(kCharacter);
  if (!here) return here.error();
  if (!there) return there.error();
  const std::string &from = nodes.node(Side::kSource).address.name,
                    &to = nodes.node(Side::kTarget).address.name;
  if (here->text(0, 0) != there->text(0, 0))
    findings.push_back(
        {true, fmt::format("encoding is {} on {}, {} on {}", here->text(0, 0), from, there->text(0, 0), to),
         "make the target's database anew with the source's encoding"});
  if (here->text(0, 1) != there->text(0, 1))
    findings.push_back({false,
                        fmt::format("collation is {} on {}, {} on {}: texts may be sorted otherwise",
                                    here->text(0, 1), from, there->text(0, 1), to),
                        ""});
  if (there->integer(0, 2) < here->integer(0, 2))
    findings.push_back({true,
                        fmt::format("node {} runs PostgreSQL {}, {} the older {}", from, here->integer(0, 2),
                                    to, there->integer(0, 2)),
                        "move to a node of the same version or a newer one"});
  auto existing = target.query("SELECT 1 FROM pg_namespace WHERE nspname = $1::text", {schema});
  if (!existing) return existing.error();
  if (existing->count() > 0)
    findings.push_back(
        {true, fmt::format("node {} has a schema {} already", to, schema),
         fmt::format("look what it is; then DROP SCHEMA {} CASCADE there", quote_identifier(schema))});
  return {};
}

// All of it in a transaction that is taken back.
Status rehearse(MoveNodes& nodes, const std::string& schema, Findings& findings) {
  auto dump = dump_schema(nodes.target(Side::kSource), schema, nodes.interrupt());
  if (!dump) {
    if (dump.error().sqlstate != routing::sqlstate::kConfigError) return dump.error();
    findings.push_back({true, dump.error().message + ": " + dump.error().detail, dump.error().hint});
    return {};
  }
  auto target = nodes.open(Side::kTarget);
  if (!target) return target.error();
  if (Status status = target->execute("BEGIN;\n" + dump->pre_data + dump->post_data + "ROLLBACK;"); !status) {
    if (status.error().sqlstate == routing::sqlstate::kConnectionFailure) return status;
    findings.push_back({true,
                        fmt::format("node {} does not take the shard's definitions: {}",
                                    nodes.node(Side::kTarget).address.name, status.error().message),
                        status.error().hint.empty()
                            ? "make there what they need (types, extensions, roles, tables)"
                            : status.error().hint});
  }
  return {};
}

bool is_blocked(const Findings& findings) {
  for (const MoveFinding& finding : findings) {
    if (finding.is_blocking) return true;
  }
  return false;
}

}  // namespace

Result<Findings> find_obstacles(MoveNodes& nodes, const std::string& schema) {
  auto source = nodes.connection(Side::kSource);
  if (!source) return source.error();
  auto target = nodes.connection(Side::kTarget);
  if (!target) return target.error();
  Findings findings;
  for (const Side side : {Side::kSource, Side::kTarget}) {
    Connection& node = side == Side::kSource ? **source : **target;
    const std::string& name = nodes.node(side).address.name;
    Status status;
    for (const char* query : kNodeChecks) {
      if (status) status = add_node_findings(node, query, name, findings);
    }
    for (const char* query : kRoomChecks) {
      if (status) status = add_node_findings(node, query, name, findings, true);
    }
    if (!status) return status.error();
  }
  if (Status status = add_schema_findings(**source, schema, findings); !status) return status.error();
  if (Status status = compare_nodes(**source, **target, schema, nodes, findings); !status)
    return status.error();
  if (!is_blocked(findings)) {
    if (Status status = rehearse(nodes, schema, findings); !status) return status.error();
  }
  const Status status =
      add_node_findings(**source, kSlowWriters, nodes.node(Side::kSource).address.name, findings);
  if (!status) return status.error();
  return findings;
}

}  // namespace mosaic::admin
