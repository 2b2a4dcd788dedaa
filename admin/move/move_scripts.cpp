#include "admin/move/move_scripts.h"

#include <fmt/format.h>

#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

using routing::quote_identifier;
using routing::quote_literal;

// Partitioned tables are their partitions. Types of a database's own have other OIDs on other nodes, and
// binary rows name them.
const std::string_view kMoveTablesQuery = R"sql(
SELECT c.relname, pg_table_size(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::int,
  NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.atttypid >= 16384),
  coalesce((SELECT jsonb_agg(a.attname ORDER BY k.position) FROM pg_index i,
            unnest(i.indkey::smallint[]) WITH ORDINALITY k(number, position)
            JOIN pg_attribute a ON a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid), '[]')
FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' ORDER BY pg_table_size(c.oid) DESC, c.relname)sql";

const std::string_view kMoveSequencesQuery = R"sql(
SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'S' ORDER BY relname)sql";

// Whom the owner has let in, in three steps: "u", the use of the schema, opens and closes a side; "w",
// sequences, from which nobody must draw where the rows can no longer follow; "r", all else. Objects with the
// same privileges go in one statement.
const std::string_view kMoveGrantsQuery = R"sql(
WITH granted AS (
  SELECT 'u' AS step, 'SCHEMA' AS kind, quote_ident(n.nspname) AS name, '' AS columns, n.nspowner AS owner,
    (aclexplode(n.nspacl)).*
  FROM pg_namespace n WHERE n.oid = $1::regnamespace
  UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'w' ELSE 'r' END, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
    c.oid::regclass::text, '', c.relowner, (aclexplode(c.relacl)).*
  FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
  UNION ALL
  SELECT 'r', 'TABLE', c.oid::regclass::text, format('(%I)', a.attname), c.relowner, (aclexplode(a.attacl)).*
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v')),
named AS (
  SELECT step, kind, name, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS grantee, is_grantable,
    string_agg(privilege_type || columns, ', ' ORDER BY privilege_type, columns) AS privileges
  FROM granted LEFT JOIN pg_roles r ON r.oid = grantee WHERE grantee <> owner AND (grantee = 0 OR r.oid IS NOT NULL)
  GROUP BY step, kind, name, grantee, r.rolname, is_grantable),
lines AS (
  SELECT step, format('GRANT %s ON %s %s TO %s%s;', privileges, kind, string_agg(name, ', ' ORDER BY name), grantee,
                      CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS granting,
    format('REVOKE %s ON %s %s FROM %s CASCADE;', privileges, kind, string_agg(name, ', ' ORDER BY name), grantee) AS revoking
  FROM named GROUP BY step, kind, grantee, is_grantable, privileges)
SELECT coalesce(string_agg(granting, E'\n') FILTER (WHERE step = 'u'), ''),
  coalesce(string_agg(revoking, E'\n') FILTER (WHERE step = 'u'), ''),
  coalesce(string_agg(granting, E'\n') FILTER (WHERE step = 'w'), ''),
  coalesce(string_agg(revoking, E'\n') FILTER (WHERE step = 'w'), ''),
  coalesce(string_agg(granting, E'\n') FILTER (WHERE step = 'r'), ''),
  coalesce(string_agg(revoking, E'\n') FILTER (WHERE step = 'r'), '')
FROM lines)sql";

// By name, so that two nodes can be compared: pg_dump knows nothing of what the other side's ALTER DEFAULT
// PRIVILEGES adds.
const std::string_view kMoveRevokesQuery = R"sql(
WITH granted AS (
  SELECT format('SCHEMA %I', nspname) AS object, nspowner AS owner, acl.*
  FROM pg_namespace, aclexplode(nspacl) acl WHERE oid = $1::regnamespace
  UNION ALL
  SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass), relowner, acl.*
  FROM pg_class c, aclexplode(relacl) acl WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
  UNION ALL
  SELECT format('ROUTINE %s', p.oid::regprocedure), proowner, acl.*
  FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl WHERE pronamespace = $1::regnamespace
  UNION ALL
  SELECT format('TYPE %s', t.oid::regtype), typowner, acl.*
  FROM pg_type t, aclexplode(coalesce(typacl, acldefault('T', typowner))) acl
  WHERE typnamespace = $1::regnamespace AND typtype IN ('d', 'e', 'r'))
SELECT format('REVOKE %s ON %s FROM %s CASCADE', privilege_type, object,
  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
FROM granted WHERE grantee <> owner ORDER BY 1)sql";

namespace {

constexpr int kGuardLock = 0x6d6f7665;  // "move": whoever makes the table of guards

// {0}: the shard's schema as a literal. Not the fence's own trigger, which one side has before the other.
constexpr std::string_view kFingerprint = R"sql(
SELECT md5(concat_ws('|',
  (SELECT string_agg(concat_ws(',', c.relname, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity), ';' ORDER BY c.relname)
   FROM pg_class c WHERE c.relnamespace = {0}::regnamespace),
  (SELECT string_agg(concat_ws(',', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
                               a.attidentity, a.attgenerated), ';' ORDER BY c.relname, a.attname)
   FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = {0}::regnamespace AND c.relkind IN ('r', 'p', 'v')
   AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg(concat_ws(',', conname, convalidated, pg_get_constraintdef(oid)), ';' ORDER BY conname, conrelid::regclass::text)
   FROM pg_constraint WHERE connamespace = {0}::regnamespace),
  (SELECT string_agg(concat_ws(',', c.relname, t.tgname, t.tgtype, t.tgenabled), ';' ORDER BY c.relname, t.tgname)
   FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = {0}::regnamespace AND NOT t.tgisinternal
   AND t.tgname NOT LIKE 'mosaic\_m%'),
  (SELECT string_agg(concat_ws(',', proname, md5(prosrc)), ';' ORDER BY proname, oidvectortypes(proargtypes))
   FROM pg_proc WHERE pronamespace = {0}::regnamespace),
  (SELECT string_agg(concat_ws(',', c.relname, d.adnum, pg_get_expr(d.adbin, d.adrelid)), ';' ORDER BY c.relname, d.adnum)
   FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid WHERE c.relnamespace = {0}::regnamespace),
  (SELECT string_agg(pg_get_indexdef(i.indexrelid), ';' ORDER BY i.indexrelid::regclass::text)
   FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = {0}::regnamespace),
  (SELECT string_agg(concat_ws(',', c.relname, polname, polcmd, polpermissive, polroles::text, pg_get_expr(polqual, polrelid),
                               pg_get_expr(polwithcheck, polrelid)), ';' ORDER BY c.relname, polname)
   FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE c.relnamespace = {0}::regnamespace),
  (SELECT string_agg(pg_get_viewdef(c.oid), ';' ORDER BY c.relname)
   FROM pg_class c WHERE c.relnamespace = {0}::regnamespace AND c.relkind = 'v'),
  (SELECT string_agg(concat_ws(',', kind, name, grantee, privilege_type, is_grantable), ';'
     ORDER BY kind, name, grantee, privilege_type, is_grantable)
   FROM (SELECT 'n' AS kind, nspname::text AS name, acl.grantee, acl.privilege_type, acl.is_grantable
         FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl WHERE oid = {0}::regnamespace
         UNION
         SELECT 'r', relname, acl.grantee, acl.privilege_type, acl.is_grantable
         FROM pg_class, aclexplode(coalesce(relacl, acldefault((CASE WHEN relkind = 'S' THEN 's' ELSE 'r' END)::"char", relowner))) acl
         WHERE relnamespace = {0}::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
         UNION
         SELECT 'c', c.relname || '.' || a.attname, acl.grantee, acl.privilege_type, acl.is_grantable
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) acl
         WHERE c.relnamespace = {0}::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
         UNION
         SELECT 'f', proname || '(' || oidvectortypes(proargtypes) || ')', acl.grantee, acl.privilege_type, acl.is_grantable
         FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl WHERE pronamespace = {0}::regnamespace
        ) granted))))sql";

}  // namespace

MoveScripts::MoveScripts(const MoveRow& row, std::string schema, std::string catalog_schema)
    : row_(row),
      schema_(std::move(schema)),
      catalog_(std::move(catalog_schema)),
      prefix_(fmt::format("mosaic_m{}_", row.id)) {}

std::string MoveScripts::quoted_schema() const { return quote_identifier(schema_); }
std::string MoveScripts::table(const std::string& name) const {
  return quote_identifier(schema_) + "." + quote_identifier(name);
}
std::string MoveScripts::lane_table(Way way) const { return catalog_ + "." + lane(way); }

std::string MoveScripts::guard(uint64_t lease) const {
  return fmt::format(
      // Two moves that make the same at the same time would fail each other.
      "SELECT pg_advisory_xact_lock({3});\n"
      "CREATE SCHEMA IF NOT EXISTS {0};\n"
      "CREATE TABLE IF NOT EXISTS {0}.move_guards (move bigint PRIMARY KEY, lease bigint NOT NULL);\n"
      "CREATE OR REPLACE FUNCTION {0}.check_move_guard(held_move bigint, held_lease bigint) RETURNS void "
      "LANGUAGE "
      "plpgsql AS $$ BEGIN UPDATE {0}.move_guards SET lease = lease WHERE move = held_move AND lease = "
      "held_lease; "
      "IF NOT FOUND THEN RAISE EXCEPTION 'move % has another mover now', held_move USING ERRCODE = 'MZ002'; "
      "END IF; END $$;\n"
      "INSERT INTO {0}.move_guards VALUES ({1}, {2}) ON CONFLICT (move) DO UPDATE SET lease = "
      "greatest(move_guards.lease, EXCLUDED.lease);\n",
      catalog_, row_.id, lease, kGuardLock);
}

std::string MoveScripts::begin_guarded(uint64_t lease) const {
  return fmt::format("BEGIN;\nSET LOCAL synchronous_commit = on;\nSELECT {}.check_move_guard({}, {});\n",
                     catalog_, row_.id, lease);
}

std::string MoveScripts::fence_function(bool is_closed) const {
  const std::string body = is_closed ? fmt::format(
                                           "RAISE EXCEPTION 'shard {} is moving to another node' USING "
                                           "ERRCODE = 'MZ001', HINT = 'connect "
                                           "through Mosaic, which knows where it is';",
                                           row_.shard.value)
                                     : "RETURN NULL;";
  return fmt::format(
      "CREATE OR REPLACE FUNCTION {}.{}fence() RETURNS trigger LANGUAGE plpgsql AS $mosaic$ BEGIN {} END "
      "$mosaic$;\n",
      catalog_, prefix_, body);
}

std::string MoveScripts::fence_trigger(const std::string& name) const {
  return fmt::format(
      "CREATE TRIGGER {0}fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {1} FOR EACH STATEMENT "
      "EXECUTE "
      "FUNCTION {2}.{0}fence();\n",
      prefix_, table(name), catalog_);
}

std::string MoveScripts::marker_table(Way way, bool is_receiving) const {
  std::string script = fmt::format("CREATE TABLE {} (marker bigint PRIMARY KEY);\n", lane_table(way));
  if (!is_receiving) return script;
  // The apply worker tells of it as soon as it has committed.
  return script +
         fmt::format(
             "CREATE FUNCTION {0}_arrived() RETURNS trigger LANGUAGE plpgsql AS $mosaic$ BEGIN PERFORM "
             "pg_catalog.pg_notify('{1}', NEW.marker::text); RETURN NULL; END $mosaic$;\n"
             "CREATE TRIGGER arrived AFTER INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION {0}_arrived();\n"
             "ALTER TABLE {0} ENABLE ALWAYS TRIGGER arrived;\n",
             lane_table(way), lane(way));
}

std::string MoveScripts::publication(Way way) const {
  std::string script = fmt::format("CREATE PUBLICATION {} FOR TABLE {}", lane(way), lane_table(way));
  for (const MoveTable& entry : row_.facts.tables) script += ", " + table(entry.name);
  return script + ";\n";
}

std::string MoveScripts::subscription(Way way, const std::string& connection_text) const {
  return fmt::format(
      "CREATE SUBSCRIPTION {0} CONNECTION {1} PUBLICATION {0} WITH (create_slot = false, slot_name = '{0}', "
      "copy_data = false, enabled = false, disable_on_error = true, synchronous_commit = 'off')",
      lane(way), quote_literal(connection_text));
}

std::string MoveScripts::lock(const char* mode) const {
  if (row_.facts.tables.empty()) return "";
  std::string script = "LOCK TABLE ";
  for (size_t i = 0; i < row_.facts.tables.size(); ++i)
    script += (i == 0 ? "ONLY " : ", ONLY ") + table(row_.facts.tables[i].name);
  return script + fmt::format(" IN {} MODE;\n", mode);
}

std::string MoveScripts::look(uint64_t lease, uint32_t lock_timeout_ms) const {
  // Autovacuum holds a lock that yields only to who has waited for deadlock_timeout.
  return begin_guarded(lease) +
         fmt::format("SET LOCAL lock_timeout = {};\nSET LOCAL deadlock_timeout = '5ms';\n", lock_timeout_ms) +
         lock("ROW EXCLUSIVE") + fingerprint() + ";\n";
}

std::string MoveScripts::count_relations() const {
  return fmt::format("SELECT count(*) FROM pg_class WHERE relnamespace = {}::regnamespace",
                     quote_literal(quoted_schema()));
}

std::string MoveScripts::mark(const std::string& marker, Way way) const {
  return fmt::format("INSERT INTO {} VALUES ({});\n", lane_table(way), marker) + count_relations() +
         ";\nCOMMIT;\n";
}

std::string MoveScripts::close(const std::string& marker, Way way) const {
  return lock("EXCLUSIVE") + fence_function(true) + row_.facts.revoke_write + "\n" + mark(marker, way);
}

std::string MoveScripts::open(uint64_t lease, const std::string& values) const {
  return begin_guarded(lease) + (values.empty() ? "" : values + ";\n") + row_.facts.grant_write + "\n" +
         row_.facts.grant_use + "\n" + fence_function(false) +
         "COMMIT;\nSELECT pg_current_wal_flush_lsn();\n";
}

std::string MoveScripts::try_to_open(uint64_t lease) const {
  return begin_guarded(lease) + row_.facts.grant_write + "\n" + row_.facts.grant_use + "\n" +
         fence_function(false) + "ROLLBACK;\n";
}

std::string MoveScripts::reopen(uint64_t lease) const {
  return begin_guarded(lease) + row_.facts.grant_write + "\n" + row_.facts.grant_read + "\n" +
         row_.facts.grant_use + "\n" + fence_function(false) + "COMMIT;\n";
}

std::string MoveScripts::open_transactions(bool with_active) const {
  return fmt::format(
      "SELECT DISTINCT a.pid, a.xact_start::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN "
      "pg_stat_activity a ON "
      "a.pid = l.pid WHERE c.relnamespace = {}::regnamespace AND l.locktype = 'relation' AND a.pid <> "
      "pg_backend_pid() AND "
      "a.backend_type = 'client backend' AND (a.state LIKE 'idle in transaction%'{})",
      quote_literal(quoted_schema()),
      with_active ? " OR (a.state = 'active' AND a.xact_start < a.query_start)" : "");
}

std::string MoveScripts::close_again(uint64_t lease) const {
  return begin_guarded(lease) + fence_function(true) + row_.facts.revoke_write + "\n" +
         row_.facts.revoke_use + "\n" + row_.facts.grant_read + "\nCOMMIT;\n";
}

std::string MoveScripts::refuse_reads(uint64_t lease) const {
  return begin_guarded(lease) + fence_function(true) + row_.facts.revoke_use + "\n" +
         row_.facts.revoke_write + "\n" + row_.facts.revoke_read + "\nCOMMIT;\n";
}

std::string MoveScripts::read_sequences() const {
  if (row_.facts.sequences.empty()) return "";
  std::string script = "SELECT 'SELECT ' || concat_ws(', '";
  for (const std::string& sequence : row_.facts.sequences) {
    const std::string name = table(sequence);
    script += fmt::format(", (SELECT format('setval(%L, %s, %L)', {}, last_value, is_called) FROM {})",
                          quote_literal(name), name);
  }
  return script + ")";
}

std::string MoveScripts::fingerprint() const {
  return fmt::format(kFingerprint, quote_literal(quoted_schema()));
}

}  // namespace mosaic::admin
