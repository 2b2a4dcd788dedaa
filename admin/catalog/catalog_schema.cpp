#include "admin/catalog/catalog_schema.h"

#include <fmt/format.h>

namespace mosaic::admin {

namespace {

// {0}: schema, {1}: channel.
constexpr std::string_view kCatalogDdl = R"sql(
CREATE SCHEMA IF NOT EXISTS {0};

CREATE TABLE {0}.meta (
  is_only_row       boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
  format            integer NOT NULL,
  cluster_id        uuid NOT NULL DEFAULT gen_random_uuid(),
  shard_count       integer NOT NULL,
  shard_function    text NOT NULL,
  schema_prefix     text NOT NULL,
  id_shard_bits     integer NOT NULL,
  id_sequence_bits  integer NOT NULL,
  id_epoch_ms       bigint NOT NULL,
  default_node      text NOT NULL,
  epoch             bigint NOT NULL DEFAULT 1,
  schema_digest     text NOT NULL,
  created_at        timestamptz NOT NULL DEFAULT now(),
  init_finished_at  timestamptz
);
COMMENT ON TABLE {0}.meta IS 'What mosaic init fixed for good; epoch is the version of the shard map';

CREATE TABLE {0}.shards (
  shard  integer PRIMARY KEY,
  node   text NOT NULL,
  epoch  bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE {0}.shards IS 'The shard map; epoch is that of the row''s last change. Change it through assign_shard()';

CREATE TABLE {0}.tables (
  name      text PRIMARY KEY,
  kind      text NOT NULL CHECK (kind IN ('sharded', 'reference', 'pinned')),
  key_column text NOT NULL DEFAULT '',
  id_column  text NOT NULL DEFAULT '',
  node      text NOT NULL DEFAULT '',
  key_type  text NOT NULL DEFAULT 'int8',
  columns   jsonb NOT NULL DEFAULT '[]'
);

CREATE TABLE {0}.schema_statements (
  position   integer PRIMARY KEY,
  statement  text NOT NULL,
  step       integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE {0}.schema_statements IS
  'The schema file that mosaic init applied, statement by statement; step: which run that found something new';

CREATE TABLE {0}.proxies (
  proxy         text PRIMARY KEY,
  host          text NOT NULL,
  pid           integer NOT NULL,
  port          integer NOT NULL,
  version       text NOT NULL,
  epoch         bigint NOT NULL,
  started_at    timestamptz NOT NULL DEFAULT now(),
  heartbeat_at  timestamptz NOT NULL DEFAULT now(),
  clients       bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION {0}.announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('{1}', TG_TABLE_NAME);
  RETURN NULL;
END $$;
-- By row: an UPDATE that finds nothing to change must not wake the proxies, who make it whenever they are woken.
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON {0}.tables
  FOR EACH ROW EXECUTE FUNCTION {0}.announce_change();
)sql";

constexpr std::string_view kNodesDdl = R"sql(
CREATE TABLE IF NOT EXISTS {0}.nodes (
  name      text PRIMARY KEY,
  since     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {0}.nodes IS 'The nodes that are in use: mosaic init and ADD NODE prepare one, REMOVE NODE takes it out';
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON {0}.nodes
  FOR EACH ROW EXECUTE FUNCTION {0}.announce_change();

CREATE OR REPLACE FUNCTION {0}.assign_shard(changed_shard integer, new_node text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  new_epoch bigint;
BEGIN
  UPDATE {0}.meta SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
  -- Behind that update, so that it sees what REMOVE NODE has done, which begins with the same row.
  IF NOT EXISTS (SELECT FROM {0}.nodes WHERE name = new_node) THEN
    RAISE EXCEPTION 'node "%" is not in use', new_node USING HINT = 'ADD NODE prepares it';
  END IF;
  UPDATE {0}.shards SET node = new_node, epoch = new_epoch, held_until = NULL WHERE shard = changed_shard;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no shard %', changed_shard;
  END IF;
  RETURN new_epoch;
END $$;
)sql";

// {0}: schema, {1}: channel of the map. The epoch alone is no news of the first trigger's: whoever follows
// the map learns it with the shard.
constexpr std::string_view kMovesDdl = R"sql(
ALTER TABLE {0}.proxies ADD COLUMN IF NOT EXISTS clients bigint NOT NULL DEFAULT 0;
ALTER TABLE {0}.shards ADD COLUMN IF NOT EXISTS held_until timestamptz;
COMMENT ON COLUMN {0}.shards.held_until IS 'Until then new transactions that may write to the shard wait in the proxies';
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR DELETE OR UPDATE OF format, cluster_id, shard_count,
  shard_function, schema_prefix, id_shard_bits, id_sequence_bits, id_epoch_ms, default_node, schema_digest,
  init_finished_at ON {0}.meta FOR EACH STATEMENT EXECUTE FUNCTION {0}.announce_change();
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR DELETE OR UPDATE OF node ON {0}.shards
  FOR EACH STATEMENT EXECUTE FUNCTION {0}.announce_change();

CREATE OR REPLACE FUNCTION {0}.announce_shard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('{1}', pg_catalog.concat_ws(' ', NEW.shard, NEW.epoch,
    CASE WHEN NEW.held_until IS NULL THEN 0 WHEN NEW.held_until <= pg_catalog.clock_timestamp() THEN -1
      ELSE ceil(extract(epoch FROM NEW.held_until - pg_catalog.clock_timestamp()) * 1000) END::bigint, NEW.node));
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce_shard AFTER UPDATE ON {0}.shards
  FOR EACH ROW EXECUTE FUNCTION {0}.announce_shard();

CREATE TABLE IF NOT EXISTS {0}.moves (
  move        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard       integer NOT NULL,
  source      text NOT NULL,
  target      text NOT NULL,
  state       text NOT NULL DEFAULT 'planned',
  wish        text NOT NULL DEFAULT '',
  options     jsonb NOT NULL DEFAULT '{{}}',
  facts       jsonb NOT NULL DEFAULT '{{}}',
  progress    jsonb NOT NULL DEFAULT '{{}}',
  message     text NOT NULL DEFAULT '',
  attempts    integer NOT NULL DEFAULT 0,
  mover       text NOT NULL DEFAULT '',
  lease       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now(),
  changed_at  timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  counts      jsonb NOT NULL DEFAULT '{{}}'
);
ALTER TABLE {0}.moves ADD COLUMN IF NOT EXISTS counts jsonb NOT NULL DEFAULT '{{}}';
COMMENT ON COLUMN {0}.moves.counts IS 'What the move has cost the clients of each proxy';
COMMENT ON TABLE {0}.moves IS 'Moves of shards, under way and done; lease is the token of the mover that works on it';
CREATE UNIQUE INDEX IF NOT EXISTS moves_of_a_shard ON {0}.moves (shard) WHERE finished_at IS NULL;

-- Each of what follows fails for a mover that another has taken over from.
CREATE OR REPLACE FUNCTION {0}.check_lease(held_move bigint, held_lease bigint) RETURNS {0}.moves LANGUAGE plpgsql AS $$
DECLARE
  found_move {0}.moves;
BEGIN
  SELECT * INTO found_move FROM {0}.moves WHERE move = held_move AND lease = held_lease FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'move % has another mover now', held_move USING ERRCODE = 'MZ002';
  END IF;
  RETURN found_move;
END $$;

CREATE OR REPLACE FUNCTION {0}.hold_shard(held_move bigint, held_lease bigint, for_ms bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  new_epoch bigint;
  changed integer := ({0}.check_lease(held_move, held_lease)).shard;
BEGIN
  UPDATE {0}.meta SET epoch = epoch + 1 RETURNING epoch INTO new_epoch;
  UPDATE {0}.shards SET epoch = new_epoch,
    held_until = CASE WHEN for_ms > 0 THEN clock_timestamp() + for_ms * interval '1 ms' END WHERE shard = changed;
  RETURN new_epoch;
END $$;

-- The point of no return: the one place where a move changes the map.
CREATE OR REPLACE FUNCTION {0}.switch_shard(held_move bigint, held_lease bigint, old_state text, new_state text,
  to_node text, more_facts jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  found_move {0}.moves := {0}.check_lease(held_move, held_lease);
BEGIN
  IF found_move.state <> old_state THEN
    RAISE EXCEPTION 'move % is %, not %', held_move, found_move.state, old_state USING ERRCODE = 'MZ002';
  END IF;
  UPDATE {0}.moves SET state = new_state, facts = facts || more_facts, changed_at = now() WHERE move = held_move;
  RETURN {0}.assign_shard(found_move.shard, to_node);
END $$;
)sql";

constexpr std::string_view kNodeRecordDdl = R"sql(
CREATE SCHEMA IF NOT EXISTS {0};
CREATE TABLE IF NOT EXISTS {0}.node_record (
  is_only_row   boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
  cluster_id    uuid NOT NULL,
  node          text NOT NULL,
  public_digest text NOT NULL DEFAULT '',
  grantees      text NOT NULL DEFAULT '',
  applied_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {0}.shard_schemas (
  shard       integer PRIMARY KEY,
  digest      text NOT NULL,
  grantees    text NOT NULL,
  applied_at  timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION {0}.refuse_twin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table "%" is sharded: public.% is its empty twin and holds no rows', TG_TABLE_NAME, TG_TABLE_NAME
    USING ERRCODE = 'MZ010', HINT = 'connect through Mosaic, or name the shard''s schema';
END $$;
-- Said to be immutable, so that a policy with it fails when a statement is planned: the twin has no row to check.
CREATE OR REPLACE FUNCTION {0}.refuse_twin_row(twin text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE EXCEPTION 'table "%" is sharded: public.% is its empty twin and holds no rows', twin, twin
    USING ERRCODE = 'MZ010', HINT = 'connect through Mosaic, or name the shard''s schema';
END $$;
)sql";

}  // namespace

std::string catalog_ddl(const std::string& schema) {
  return fmt::format(kCatalogDdl, schema, kCatalogChannel) + catalog_nodes_ddl(schema) +
         catalog_moves_ddl(schema);
}

std::string catalog_moves_ddl(const std::string& schema) {
  return fmt::format(kMovesDdl, schema, kMapChannel);
}

std::string catalog_nodes_ddl(const std::string& schema) { return fmt::format(kNodesDdl, schema); }

std::string node_record_ddl(const std::string& schema) { return fmt::format(kNodeRecordDdl, schema); }

}  // namespace mosaic::admin
