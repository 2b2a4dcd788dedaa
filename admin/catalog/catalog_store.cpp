#include "admin/catalog/catalog_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/catalog/catalog_json.h"
#include "admin/catalog/catalog_schema.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::Status;

// The columns of the tables as they stand now in `public` on the catalog's node. A pinned table of another
// node has its stored columns only: a table of that name here would be a stranger.
constexpr std::string_view kLiveColumns = R"sql(
  SELECT c.relname AS name,
         jsonb_agg(jsonb_build_object('name', a.attname, 'type', a.atttypid::bigint, 'modifier', a.atttypmod)
                   ORDER BY a.attnum) AS columns
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  GROUP BY c.relname)sql";

Error damaged(const std::string& what) {
  return Error{routing::sqlstate::kConfigError, "the catalog is damaged", what,
               "restore the catalog's schema from a backup"};
}

}  // namespace

ConnectionTarget catalog_target(const Config& config) {
  const NodeConfig* node = config.find_node(config.catalog.node);
  ConnectionTarget target;
  target.host = node->address.host;
  target.port = node->address.port;
  target.dbname = node->address.dbname;
  target.user = config.catalog.user;
  target.password = config.catalog.password;
  target.passfile = config.catalog.passfile;
  return target;
}

CatalogStore::CatalogStore(Connection connection, const Config& config)
    : connection_(std::move(connection)), schema_(config.catalog.schema), node_(config.catalog.node) {}

Result<CatalogStore> CatalogStore::open(const Config& config, const StopSignal* stop) {
  const std::chrono::milliseconds limit(config.catalog.connect_timeout_ms);
  auto connection =
      Connection::open(catalog_target(config), {.connect = limit, .query = limit, .stop = stop});
  if (connection) return CatalogStore(std::move(*connection), config);
  Error error = connection.error();
  error.message =
      fmt::format("the catalog on node {} can not be reached: {}", config.catalog.node, error.message);
  return error;
}

std::string CatalogStore::sql(std::string_view statement) const {
  std::string text(statement);
  for (size_t at = text.find("{s}"); at != std::string::npos; at = text.find("{s}", at + schema_.size()))
    text.replace(at, 3, schema_);
  return text;
}

Result<bool> CatalogStore::exists() {
  auto rows = connection_.query("SELECT to_regclass($1) IS NOT NULL", {schema_ + ".meta"});
  if (!rows) return rows.error();
  return rows->text(0, 0) == "t";
}

Result<CatalogState> CatalogStore::load() {
  auto is_there = exists();
  if (!is_there) return is_there.error();
  if (!*is_there)
    return Error{routing::sqlstate::kConfigError, fmt::format("there is no catalog on node {}", node_),
                 fmt::format("schema \"{}\" has no table meta", schema_), "run `mosaic init` first"};
  if (Status status = connection_.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); !status)
    return status.error();
  auto state = load_in_transaction();
  // Also after an error, so that the connection stays usable; a lost one reports itself at its next use.
  const Status ended = connection_.execute("ROLLBACK");
  if (state && !ended) return ended.error();
  return state;
}

Result<CatalogState> CatalogStore::load_in_transaction() {
  auto state = load_meta();
  Status status = state ? load_shards(*state) : Status(state.error());
  if (status) status = load_tables(*state);
  if (status) status = load_nodes(*state);
  if (!status) return status.error();
  return state;
}

Result<CatalogState> CatalogStore::load_meta() {
  auto rows =
      connection_.query(sql("SELECT format, cluster_id, shard_count, shard_function, schema_prefix, "
                            "id_shard_bits, id_sequence_bits, "
                            "id_epoch_ms, default_node, epoch, init_finished_at IS NOT NULL FROM {s}.meta"));
  if (!rows) return rows.error();
  if (rows->count() != 1) return damaged(schema_ + ".meta has no row");
  if (rows->integer(0, 0) != kCatalogFormat)
    return Error{routing::sqlstate::kConfigError, "the catalog has another format",
                 fmt::format("expected format {}, got {}", kCatalogFormat, rows->text(0, 0)),
                 "use the version of Mosaic that made the catalog, or a newer one"};
  CatalogState state;
  state.cluster_id = rows->text(0, 1);
  state.layout.shard_count = static_cast<uint32_t>(rows->integer(0, 2));
  state.layout.shard_function = rows->text(0, 3);
  state.layout.schema_prefix = rows->text(0, 4);
  state.layout.id_shard_bits = static_cast<uint32_t>(rows->integer(0, 5));
  state.layout.id_sequence_bits = static_cast<uint32_t>(rows->integer(0, 6));
  state.layout.id_epoch_ms = rows->integer(0, 7);
  state.layout.default_node = rows->text(0, 8);
  state.epoch = static_cast<uint64_t>(rows->integer(0, 9));
  state.is_complete = rows->text(0, 10) == "t";
  return state;
}

Status CatalogStore::load_shards(CatalogState& state) {
  auto rows = connection_.query(sql("SELECT shard, node, epoch FROM {s}.shards ORDER BY shard"));
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row) {
    if (rows->integer(row, 0) != row) return damaged(fmt::format("{}.shards lacks shard {}", schema_, row));
    state.shard_nodes.emplace_back(rows->text(row, 1));
    state.shard_epochs.push_back(static_cast<uint64_t>(rows->integer(row, 2)));
  }
  return {};
}

Status CatalogStore::load_tables(CatalogState& state) {
  auto rows = connection_.query(
      sql(fmt::format(
          "SELECT t.name, t.kind, t.key_column, t.id_column, t.node, t.key_type, "
          "coalesce(CASE WHEN t.kind <> 'pinned' OR t.node = $1 THEN live.columns END, t.columns) "
          "FROM {{s}}.tables t LEFT JOIN ({}) live ON live.name = t.name ORDER BY t.name",
          kLiveColumns)),
      {node_});
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row) {
    CatalogTable table;
    table.name = rows->text(row, 0);
    table.key = rows->text(row, 2);
    table.id = rows->text(row, 3);
    table.node = rows->text(row, 4);
    if (!parse_table_kind(rows->text(row, 1), table.kind) ||
        !parse_key_type(rows->text(row, 5), table.key_type))
      return damaged(fmt::format("{}.tables: unknown kind or key type of {}", schema_, table.name));
    auto columns = parse_columns_json(rows->text(row, 6));
    if (!columns) return columns.error();
    table.columns = std::move(*columns);
    state.tables.push_back(std::move(table));
  }
  return {};
}

Status CatalogStore::load_nodes(CatalogState& state) {
  auto is_there = connection_.query("SELECT to_regclass($1) IS NOT NULL", {schema_ + ".nodes"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") {
    state.nodes = nodes_with_data(state);
    return {};
  }
  auto rows = connection_.query(sql("SELECT name FROM {s}.nodes ORDER BY name COLLATE \"C\""));
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row) state.nodes.emplace_back(rows->text(row, 0));
  return {};
}

Status CatalogStore::refresh_columns() {
  auto rows = connection_.query(
      sql(fmt::format(
          "UPDATE {{s}}.tables t SET columns = live.columns FROM ({}) live WHERE live.name = t.name "
          "AND (t.kind <> 'pinned' OR t.node = $1) AND live.columns IS DISTINCT FROM t.columns",
          kLiveColumns)),
      {node_});
  return rows ? Status() : Status(rows.error());
}

// Moves from the node or to it are under way.
Status CatalogStore::refuse_moving(const std::string& node) {
  auto is_there = connection_.query("SELECT to_regclass($1) IS NOT NULL", {schema_ + ".moves"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") return {};
  auto moves = connection_.query(
      sql("SELECT move FROM {s}.moves WHERE finished_at IS NULL AND $1 IN (source, target) ORDER BY move"),
      {node});
  if (!moves) return moves.error();
  if (moves->count() == 0) return {};
  return Error{routing::sqlstate::kObjectInUse,
               fmt::format("node \"{}\" takes part in {} moves of shards, such as move {}", node,
                           moves->count(), moves->text(0, 0)),
               "", "SHOW MOVES tells of them; CANCEL MOVE or FINISH MOVE ends one"};
}

Status CatalogStore::remove_node(const std::string& node, bool is_dry_run) {
  // The map's row first: no shard is assigned meanwhile.
  if (Status status = connection_.execute(sql("BEGIN; SELECT FROM {s}.meta FOR UPDATE")); !status)
    return status;
  auto state = load_in_transaction();
  Status status = state ? Status() : Status(state.error());
  if (state && std::find(state->nodes.begin(), state->nodes.end(), node) == state->nodes.end())
    status = Error{routing::sqlstate::kUndefinedObject, fmt::format("node \"{}\" is not in use", node),
                   fmt::format("in use are {}", fmt::join(state->nodes, ", ")), ""};
  if (status && node == node_)
    status = Error{routing::sqlstate::kObjectInUse, fmt::format("node \"{}\" holds the catalog", node), "",
                   "it can not be removed"};
  if (status) {
    if (const std::string there = describe_data(*state, node); !there.empty())
      status = Error{routing::sqlstate::kObjectInUse, fmt::format("node \"{}\" has {}", node, there), "",
                     "move that to another node first"};
  }
  if (status) status = refuse_moving(node);
  if (!status || is_dry_run) {
    static_cast<void>(connection_.execute("ROLLBACK"));
    return status;
  }
  auto gone = connection_.query(sql("DELETE FROM {s}.nodes WHERE name = $1"), {node});
  if (!gone) return gone.error();
  return connection_.execute("COMMIT");
}

Status CatalogStore::listen() { return connection_.execute(fmt::format("LISTEN {}", kCatalogChannel)); }

Status CatalogStore::announce_definitions() {
  return connection_.execute(fmt::format("NOTIFY {}, 'definitions'", kCatalogChannel));
}

// The column is younger than some catalogs: `mosaic init` or the first move adds it.
Result<bool> CatalogStore::counts_clients() {
  auto rows = connection_.query(
      "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'clients')",
      {sql("{s}.proxies")});
  if (!rows) return rows.error();
  return rows->text(0, 0) == "t";
}

Status CatalogStore::beat(const ProxyIdentity& proxy, const ProxyLoad& load) {
  const auto has_clients = counts_clients();
  if (!has_clients) return has_clients.error();
  auto rows =
      connection_.query(sql("WITH forgotten AS (DELETE FROM {s}.proxies WHERE heartbeat_at < now() - "
                            "interval '1 day' AND proxy <> $1) "
                            "INSERT INTO {s}.proxies (proxy, host, pid, port, version, epoch) VALUES ($1, "
                            "$2, $3::int, $4::int, $5, $6::bigint) "
                            "ON CONFLICT (proxy) DO UPDATE SET heartbeat_at = now(), epoch = EXCLUDED.epoch"),
                        {proxy.id, proxy.host, std::to_string(proxy.pid), std::to_string(proxy.port),
                         proxy.version, std::to_string(load.epoch)});
  if (!rows || !*has_clients) return rows ? Status() : Status(rows.error());
  rows = connection_.query(sql("UPDATE {s}.proxies SET clients = $2::bigint WHERE proxy = $1"),
                           {proxy.id, std::to_string(load.clients)});
  return rows ? Status() : Status(rows.error());
}

Status CatalogStore::leave(const ProxyIdentity& proxy) {
  auto rows = connection_.query(sql("DELETE FROM {s}.proxies WHERE proxy = $1"), {proxy.id});
  return rows ? Status() : Status(rows.error());
}

Result<std::vector<ProxyRow>> CatalogStore::proxies() {
  auto rows = connection_.query(
      sql("SELECT proxy, host, pid, port, version, epoch, started_at, heartbeat_at, "
          "coalesce(to_jsonb(p) ->> 'clients', '0')::bigint, greatest(0, (SELECT epoch FROM "
          "{s}.meta) - epoch), (extract(epoch FROM now() - heartbeat_at) * 1000)::bigint "
          "FROM {s}.proxies p ORDER BY started_at"));
  if (!rows) return rows.error();
  std::vector<ProxyRow> list;
  for (int row = 0; row < rows->count(); ++row) {
    ProxyRow entry;
    entry.identity = {std::string(rows->text(row, 0)), std::string(rows->text(row, 1)),
                      static_cast<int>(rows->integer(row, 2)), static_cast<uint16_t>(rows->integer(row, 3)),
                      std::string(rows->text(row, 4))};
    entry.load = {static_cast<uint64_t>(rows->integer(row, 5)), static_cast<uint64_t>(rows->integer(row, 8))};
    entry.epochs_behind = static_cast<uint64_t>(rows->integer(row, 9));
    entry.silent_ms = static_cast<uint64_t>(rows->integer(row, 10));
    entry.started_at = rows->text(row, 6);
    entry.heartbeat_at = rows->text(row, 7);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace mosaic::admin
