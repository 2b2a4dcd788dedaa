#include "admin/init/init_scripts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "admin/postgres/connection.h"
#include "routing/catalog_snapshot.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::quote_identifier;
using routing::quote_literal;

// IDs are unique because they come from one sequence of 64-bit tickets: (millisecond << sequence bits) |
// count. The sequence only ever moves forward. When it lags behind the clock, one caller lifts it to the
// clock; with bursts of more IDs than a millisecond has room for it runs ahead of the clock, and time catches
// up. So neither bursts nor a clock that steps back can give an ID twice.
//
// Lifting needs setval(), which must not race with nextval(). Whoever lifts holds a transaction-level
// advisory lock and makes the generation odd meanwhile; a ticket counts only when the generation was the same
// even number before and after taking it. A lifter that dies leaves an odd generation and no lock: the next
// caller lifts in its place. Callers that find the lock taken (by a transaction that lifted and is still
// open) use their ticket as it is: unique, with a time that lags. Only a lift in progress makes others wait,
// for microseconds.
//
// {schema}, {literal}: the quoted schema, plain and inside a string; {lock}: class of the advisory locks.
constexpr std::string_view kNextId = R"sql(
CREATE SEQUENCE {schema}.mosaic_ticket;
CREATE SEQUENCE {schema}.mosaic_generation MINVALUE 0 START 0;
SELECT nextval('{literal}.mosaic_generation');
CREATE FUNCTION {schema}.next_id() RETURNS bigint LANGUAGE plpgsql AS $mosaic$
DECLARE
  generation bigint;
  ticket bigint;
  clock bigint;
  is_calm boolean;
BEGIN
  LOOP
    generation := pg_sequence_last_value('{literal}.mosaic_generation'::regclass);
    ticket := nextval('{literal}.mosaic_ticket'::regclass);
    is_calm := generation % 2 = 0 AND generation = pg_sequence_last_value('{literal}.mosaic_generation'::regclass);
    clock := (extract(epoch FROM clock_timestamp()) * 1000)::bigint - {epoch};
    IF NOT is_calm OR (ticket >> {sequence_bits}) < clock THEN
      IF pg_try_advisory_xact_lock({lock}, {shard}) THEN
        IF nextval('{literal}.mosaic_generation'::regclass) % 2 = 0 THEN
          PERFORM nextval('{literal}.mosaic_generation'::regclass);
        END IF;
        ticket := greatest(nextval('{literal}.mosaic_ticket'::regclass), clock << {sequence_bits});
        PERFORM setval('{literal}.mosaic_ticket'::regclass, ticket);
        PERFORM nextval('{literal}.mosaic_generation'::regclass);
      ELSIF NOT is_calm THEN
        PERFORM pg_sleep(0.0002);
        CONTINUE;
      END IF;
    END IF;
    RETURN ((ticket >> {sequence_bits}) << {time_shift}) | ({shard}::bigint << {sequence_bits}) | (ticket & {sequence_mask});
  END LOOP;
END $mosaic$;
COMMENT ON FUNCTION {schema}.next_id() IS 'A new row ID that carries shard {shard}: time << {time_shift} | shard << {sequence_bits} | count';
)sql";

constexpr int kIdLockClass = 0x6d6f7a61;  // "moza"; the second key is the shard

constexpr std::string_view kTwinNextId = R"sql(
CREATE OR REPLACE FUNCTION public.next_id() RETURNS bigint LANGUAGE plpgsql AS $mosaic$
BEGIN
  RAISE EXCEPTION 'next_id() needs a shard' USING ERRCODE = 'MZ010',
    HINT = 'use it as a column default or inside a statement on a sharded table, or add a comment such as /* mosaic shard=42 */';
END $mosaic$;
)sql";

// Sequences that belong to a table of `public` (serial and identity columns).
constexpr std::string_view kGrantOwnedSequences = R"sql(
DO $mosaic$
DECLARE
  owned regclass;
BEGIN
  FOR owned IN
    SELECT d.objid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refobjid = {0}::regclass AND d.deptype IN ('a', 'i')
  LOOP
    EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO {1}', owned);
  END LOOP;
END $mosaic$;
)sql";

std::string schema_name(const Config& config, routing::ShardId shard) {
  return routing::shard_schema_name(config.shards.schema_prefix, shard, config.shards.count);
}

std::string shard_grants(const Config& config, const std::string& schema) {
  if (config.application_users.empty()) return "";
  const std::string users = quoted_list(config.application_users);
  return fmt::format(
      "GRANT USAGE ON SCHEMA {0} TO {1};\n"
      "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {0} TO {1};\n"
      "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {0} TO {1};\n"
      "GRANT UPDATE ON SEQUENCE {0}.mosaic_ticket, {0}.mosaic_generation TO {1};\n"
      "GRANT EXECUTE ON FUNCTION {0}.next_id() TO {1};\n",
      quote_identifier(schema), users);
}

void add_table_grants(std::string& script, const std::string& table, const std::string& users) {
  script += fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {};\n", public_name(table), users);
  script += fmt::format(kGrantOwnedSequences, quote_literal(public_name(table)), users);
}

std::string node_grants(const SchemaPlan& plan, const Config& config, const std::string& node) {
  if (config.application_users.empty()) return "";
  const std::string users = quoted_list(config.application_users);
  std::string script = fmt::format("GRANT USAGE ON SCHEMA public TO {};\n", users);
  for (const std::string& table : plan.reference_tables) add_table_grants(script, table, users);
  for (const auto& [table, where] : plan.single_tables) {
    if (where == node) add_table_grants(script, table, users);
  }
  // information_schema shows a table only to who has some privilege on it: REFERENCES reads and writes
  // nothing.
  for (const std::string& table : plan.sharded_tables)
    script += fmt::format("REVOKE ALL ON {0} FROM PUBLIC, {1};\nGRANT REFERENCES ON {0} TO {1};\n",
                          public_name(table), users);
  return script;
}

// Pinned tables of other nodes: seen here (\d, ORMs, the default node's catalog), but empty like the sharded
// ones.
std::vector<std::string> pinned_elsewhere(const SchemaPlan& plan, const std::string& node) {
  std::vector<std::string> tables;
  for (const auto& [table, home] : plan.single_tables) {
    const bool is_listed =
        std::find(plan.default_tables.begin(), plan.default_tables.end(), table) == plan.default_tables.end();
    if (is_listed && home != node) tables.push_back(table);
  }
  return tables;
}

// Of the twins that the steps behind `step` make; of all, where that is nothing.
std::string twin_guards(const SchemaPlan& plan, const Config& config, const std::string& node,
                        std::optional<uint32_t> step) {
  std::string script;
  const auto is_old = [&](const std::string& table) { return !plan.creates(table, step); };
  std::vector<std::string> twins = pinned_elsewhere(plan, node);
  std::erase_if(twins, is_old);
  for (const std::string& table : twins) {
    for (const std::string& user : config.application_users) {
      script += fmt::format("GRANT REFERENCES ON {} TO {};\n", public_name(table), quote_identifier(user));
    }
  }
  twins.insert(twins.end(), plan.sharded_tables.begin(), plan.sharded_tables.end());
  std::erase_if(twins, is_old);
  for (const std::string& table : twins) {
    // Privileges do not bind the owner, whose views and SECURITY DEFINER functions others run; a policy does.
    // Neither binds a superuser; a trigger stops at least its writes.
    script += fmt::format(
        "REVOKE ALL ON {0} FROM PUBLIC;\n"
        "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;\n"
        "CREATE POLICY mosaic_twin ON {0} USING ({1}.refuse_twin_row({2}));\n"
        "CREATE TRIGGER mosaic_twin BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {0} FOR EACH STATEMENT "
        "EXECUTE FUNCTION {1}.refuse_twin();\n"
        "ALTER TABLE {0} ENABLE ALWAYS TRIGGER mosaic_twin;\n",
        public_name(table), config.catalog.schema, quote_literal(table));
  }
  return script;
}

bool is_behind(const PlacedStatement& placed, std::optional<uint32_t> step) {
  return !step || placed.step > *step;
}

std::string shard_body(const SchemaPlan& plan, std::optional<uint32_t> step) {
  std::string body;
  for (const PlacedStatement& placed : plan.statements) {
    if (placed.place == Place::kShards && is_behind(placed, step)) body += placed.statement.text + ";\n";
  }
  return body;
}

std::string node_body(const SchemaPlan& plan, const Config& config, const std::string& node,
                      std::optional<uint32_t> step) {
  std::string body(plan.sharded_tables.empty() ? "" : kTwinNextId);
  const std::vector<std::string> foreign = pinned_elsewhere(plan, node);
  for (const PlacedStatement& placed : plan.statements) {
    const bool is_twin =
        placed.statement.kind == routing::SchemaStatement::Kind::kStructure &&
        (placed.place == Place::kShards ||
         (placed.place == Place::kOneNode &&
          std::find(foreign.begin(), foreign.end(), placed.statement.subject) != foreign.end()));
    const bool is_here =
        placed.place == Place::kEveryNode || (placed.place == Place::kOneNode && placed.node == node);
    if ((is_twin || is_here) && is_behind(placed, step)) body += placed.statement.text + ";\n";
  }
  return body + twin_guards(plan, config, node, step) + node_grants(plan, config, node);
}

// The record alone makes the script count as done.
std::string recorded(const std::string& search_path, const std::string& body, const std::string& record) {
  return fmt::format("SET LOCAL search_path = {};\n{}{};\n", search_path, body, record);
}

std::string recorded_node(const SchemaPlan& plan, const Config& config, const std::string& body) {
  return recorded(
      "public", body,
      fmt::format("UPDATE {}.node_record SET public_digest = {}, grantees = {}, applied_at = now()",
                  config.catalog.schema, quote_literal(plan.digest()), quote_literal(grantees_text(config))));
}

}  // namespace

std::string public_name(const std::string& table) { return "public." + quote_identifier(table); }

std::string set_lock_limit() { return "SET LOCAL lock_timeout = '10s';\n"; }

std::string as_transaction(const std::string& script) {
  // Asynchronous, because one synchronous commit at the end of init covers all before it.
  return "BEGIN;\nSET LOCAL synchronous_commit = off;\n" + set_lock_limit() + script + "COMMIT;\n";
}

std::string grantees_text(const Config& config) {
  return fmt::format("{}", fmt::join(config.application_users, ","));
}

std::string next_id_ddl(const std::string& schema, routing::ShardId shard, const routing::IdLayout& layout) {
  const std::string quoted = quote_identifier(schema);
  return fmt::format(kNextId, fmt::arg("schema", quoted), fmt::arg("literal", quoted),
                     fmt::arg("lock", kIdLockClass), fmt::arg("shard", shard.value),
                     fmt::arg("epoch", layout.epoch_ms), fmt::arg("sequence_bits", layout.sequence_bits),
                     fmt::arg("time_shift", layout.sequence_bits + layout.shard_bits),
                     fmt::arg("sequence_mask", (uint64_t{1} << layout.sequence_bits) - 1));
}

std::string shard_script(const SchemaPlan& plan, const Config& config, routing::ShardId shard) {
  const std::string schema = schema_name(config, shard);
  std::string body = fmt::format("CREATE SCHEMA {};\n", quote_identifier(schema));
  body += next_id_ddl(schema, shard, config.shards.id_layout);
  body += shard_body(plan, std::nullopt);
  body += shard_grants(config, schema);
  return recorded(quote_identifier(schema) + ", public", body,
                  fmt::format("INSERT INTO {}.shard_schemas (shard, digest, grantees) VALUES ({}, {}, {})",
                              config.catalog.schema, shard.value, quote_literal(plan.digest()),
                              quote_literal(grantees_text(config))));
}

std::string shard_extension_script(const SchemaPlan& plan, const Config& config, routing::ShardId shard,
                                   uint32_t step) {
  const std::string schema = schema_name(config, shard);
  return recorded(
      quote_identifier(schema) + ", public", shard_body(plan, step) + shard_grants(config, schema),
      fmt::format(
          "UPDATE {}.shard_schemas SET digest = {}, grantees = {}, applied_at = now() WHERE shard = {}",
          config.catalog.schema, quote_literal(plan.digest()), quote_literal(grantees_text(config)),
          shard.value));
}

std::string shard_grant_script(const Config& config, routing::ShardId shard) {
  return recorded("public", shard_grants(config, schema_name(config, shard)),
                  fmt::format("UPDATE {}.shard_schemas SET grantees = {} WHERE shard = {}",
                              config.catalog.schema, quote_literal(grantees_text(config)), shard.value));
}

std::string node_script(const SchemaPlan& plan, const Config& config, const std::string& node) {
  return recorded_node(plan, config, node_body(plan, config, node, std::nullopt));
}

std::string node_extension_script(const SchemaPlan& plan, const Config& config, const std::string& node,
                                  uint32_t step) {
  return recorded_node(plan, config, node_body(plan, config, node, step));
}

std::string node_grant_script(const SchemaPlan& plan, const Config& config, const std::string& node) {
  return recorded("public", node_grants(plan, config, node),
                  fmt::format("UPDATE {}.node_record SET grantees = {}", config.catalog.schema,
                              quote_literal(grantees_text(config))));
}

}  // namespace mosaic::admin
