#include "admin/config/config_keys.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace mosaic::admin {

namespace {

constexpr int64_t kSecondsMax = 1'000'000'000;  // in milliseconds: 11 days
constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

constexpr ConfigLimits integer(int64_t min, int64_t max) { return {ConfigType::kInteger, min, max, ""}; }
constexpr ConfigLimits seconds(int64_t min_ms = 0) { return {ConfigType::kSeconds, min_ms, kSecondsMax, ""}; }
constexpr ConfigLimits bytes(int64_t min, int64_t max) { return {ConfigType::kBytes, min, max, ""}; }
constexpr ConfigLimits choice(const char* choices) { return {ConfigType::kChoice, 0, 0, choices}; }
constexpr ConfigLimits kText = {ConfigType::kText, 0, 0, ""};
constexpr ConfigLimits kPath = {ConfigType::kPath, 0, 0, ""};
constexpr ConfigLimits kSecret = {ConfigType::kSecret, 0, 0, ""};
constexpr ConfigLimits kTextList = {ConfigType::kTextList, 0, 0, ""};
constexpr ConfigLimits kBool = {ConfigType::kBool, 0, 1, ""};

constexpr bool kFixed = false;      // needs a restart
constexpr bool kReloadable = true;  // RELOAD or SIGHUP takes it

std::string absolute_path(const Config& config, const std::string& path) {
  if (path.empty()) return path;
  return (std::filesystem::path(config.folder) / path).lexically_normal().string();
}

using T = ConfigTarget;
using V = ConfigValue;

const std::vector<ConfigKey>& keys() {
  static const std::vector<ConfigKey> table = {
      {"mosaic", "workers", integer(0, 1024), "0", kFixed, "Threads that serve clients; 0: one per CPU core.",
       [](T& t, const V& v) { t.config.proxy.workers = v.u32(); }},
      {"mosaic", "state_dir", kPath, "\"/var/lib/mosaic\"", kFixed,
       "Folder for what outlives a restart: the last shard map, for starts while the catalog is down, and "
       "the "
       "secret of the salts.",
       [](T& t, const V& v) {
         t.config.state_dir = t.config.proxy.state_dir = absolute_path(t.config, v.text);
       }},
      {"mosaic", "pid_file", kPath, "\"\"", kFixed, "File for the process ID; empty: none.",
       [](T& t, const V& v) { t.config.pid_file = absolute_path(t.config, v.text); }},
      {"mosaic", "log_level", choice("trace|debug|info|warning|error"), "\"info\"", kReloadable,
       "Least severe event that is logged.",
       [](T& t, const V& v) {
         t.config.log_level = v.text;
         t.config.log.least = v.text == "error"     ? pool::Severity::kError
                              : v.text == "warning" ? pool::Severity::kWarning
                              : v.text == "info"    ? pool::Severity::kInfo
                                                    : pool::Severity::kDebug;
       }},
      {"mosaic", "log_format", choice("text|json"), "\"text\"", kReloadable,
       "One line per event: text has key=value pairs, json an object.",
       [](T& t, const V& v) {
         t.config.log.format =
             v.text == "json" ? EventLogSettings::Format::kJson : EventLogSettings::Format::kText;
       }},
      {"mosaic", "log_connections", kBool, "true", kReloadable,
       "true: clients that log in and connections to servers are logged.",
       [](T& t, const V& v) { t.config.proxy.pool.log_connections = v.number != 0; }},
      {"mosaic", "log_disconnections", kBool, "true", kReloadable,
       "true: clients and servers that leave are logged, with the reason.",
       [](T& t, const V& v) { t.config.proxy.pool.log_disconnections = v.number != 0; }},
      {"mosaic", "log_min_duration", seconds(), "0", kReloadable,
       "A statement that took this long or longer, with its wait for a server, is logged; 0: none.",
       [](T& t, const V& v) { t.config.proxy.log_min_duration_ms = v.u32(); }},
      {"mosaic", "log_rate_limit", integer(0, 1'000'000), "100", kReloadable,
       "Events of one class that are logged in a second; more are counted, and the count is logged; 0: no "
       "limit.",
       [](T& t, const V& v) { t.config.log.rate_limit = v.u32(); }},
      {"mosaic", "event_history", integer(0, 1'000'000), "1000", kReloadable,
       "Events that SHOW EVENTS tells, the last ones.",
       [](T& t, const V& v) { t.config.log.kept = v.u32(); }},
      {"mosaic", "log_buffer", bytes(kKiB, kGiB), "\"1MiB\"", kFixed,
       "Lines of the log that its reader has not taken yet; more are lost, and the count is logged.",
       [](T& t, const V& v) { t.config.log.buffer_bytes = v.u64(); }},
      {"mosaic", "stats_period", seconds(1000), "60", kReloadable,
       "Period of the avg_ columns of SHOW STATS.",
       [](T& t, const V& v) { t.config.stats_period_ms = v.u32(); }},

      {"listen", "address", kText, "\"127.0.0.1\"", kFixed, "IP address for clients; 0.0.0.0 or :: for all.",
       [](T& t, const V& v) { t.config.proxy.listen_address = v.text; }},
      {"listen", "port", integer(0, 65535), "6432", kFixed,
       "Port for clients and for the console; 0: any free port.",
       [](T& t, const V& v) { t.config.proxy.listen_port = static_cast<uint16_t>(v.number); }},
      {"listen", "backlog", integer(1, 65535), "4096", kFixed, "Connections that may wait to be accepted.",
       [](T& t, const V& v) { t.config.proxy.listen_backlog = v.u32(); }},

      {"database", "name", kText, kRequired, kFixed, "The application's database, as clients name it.",
       [](T& t, const V& v) { t.config.proxy.database = v.text; }},
      {"database", "default_node", kText, kNoDefault, kFixed,
       "Node of the tables that no [tables.NAME] lists; absent: the first node of the file.",
       [](T& t, const V& v) { t.config.default_node = v.text; }},
      {"database", "application_users", kTextList, "[]", kReloadable,
       "Roles to which `mosaic init` grants the use of all tables.",
       [](T& t, const V& v) { t.config.application_users = v.list; }},

      {"auth", "type", choice("scram-sha-256|trust"), "\"scram-sha-256\"", kReloadable,
       "How clients prove who they are.",
       [](T& t, const V& v) {
         t.config.proxy.auth_type =
             v.text == "trust" ? proxy::AuthType::kTrust : proxy::AuthType::kScramSha256;
       }},
      {"auth", "file", kPath, "\"userlist.txt\"", kReloadable,
       "Users and secrets, in PgBouncer's auth_file format.",
       [](T& t, const V& v) { t.config.proxy.auth_file = absolute_path(t.config, v.text); }},
      {"auth", "admin_users", kTextList, "[]", kReloadable, "Users that may do everything on the console.",
       [](T& t, const V& v) { t.config.proxy.admin_users = v.list; }},
      {"auth", "stats_users", kTextList, "[]", kReloadable, "Users that may SHOW on the console.",
       [](T& t, const V& v) { t.config.proxy.stats_users = v.list; }},

      {"catalog", "node", kText, kNoDefault, kReloadable,
       "Node that holds the catalog, in the application's database; absent: the first node of the file.",
       [](T& t, const V& v) { t.config.catalog.node = v.text; }},
      {"catalog", "user", kText, "\"postgres\"", kReloadable,
       "Role with which proxies read and watch the catalog.",
       [](T& t, const V& v) { t.config.catalog.user = v.text; }},
      {"catalog", "password", kSecret, "\"\"", kReloadable,
       "Its password; empty: what libpq finds by itself.",
       [](T& t, const V& v) { t.config.catalog.password = v.text; }},
      {"catalog", "passfile", kPath, "\"\"", kReloadable,
       "File in libpq's password file format; empty: libpq's default.",
       [](T& t, const V& v) { t.config.catalog.passfile = absolute_path(t.config, v.text); }},
      {"catalog", "schema", kText, "\"mosaic\"", kReloadable, "Schema that holds the catalog's tables.",
       [](T& t, const V& v) { t.config.catalog.schema = v.text; }},
      {"catalog", "connect_timeout", seconds(100), "5", kReloadable,
       "How long to try the catalog, at start and later, before it counts as down.",
       [](T& t, const V& v) { t.config.catalog.connect_timeout_ms = v.u32(); }},
      {"catalog", "poll_interval", seconds(100), "10", kReloadable,
       "How often to look for a new map when no notification came.",
       [](T& t, const V& v) { t.config.catalog.poll_interval_ms = v.u32(); }},
      {"catalog", "heartbeat_interval", seconds(100), "5", kReloadable,
       "How often this proxy tells the catalog that it lives.",
       [](T& t, const V& v) { t.config.catalog.heartbeat_interval_ms = v.u32(); }},

      {"moves", "parallel_moves", integer(0, 64), "2", kReloadable,
       "Moves of shards that this proxy works on at a time; 0: none, others do.",
       [](T& t, const V& v) { t.config.moves.parallel_moves = v.u32(); }},
      {"moves", "moves_per_node", integer(1, 64), "2", kReloadable,
       "Moves that all proxies together work on at a time from or to one node; those that soak are not "
       "counted.",
       [](T& t, const V& v) { t.config.moves.moves_per_node = v.u32(); }},
      {"moves", "max_retained_wal", bytes(kMiB, 1024 * kGiB), "\"16GiB\"", kReloadable,
       "A move whose slot keeps more log than this on its source is given up, before a disk fills.",
       [](T& t, const V& v) { t.config.moves.retained_wal_bytes = v.u64(); }},
      {"moves", "lock_timeout", seconds(1), "0.025", kReloadable,
       "How long an attempt to switch waits for the writers of the shard to end their transactions.",
       [](T& t, const V& v) { t.config.moves.lock_timeout_ms = v.u32(); }},
      {"moves", "catch_up_timeout", seconds(1), "0.03", kReloadable,
       "How long an attempt to switch waits, with the source closed, until the target has the last change.",
       [](T& t, const V& v) { t.config.moves.catch_up_timeout_ms = v.u32(); }},
      {"moves", "lease", seconds(1000), "10", kReloadable,
       "A proxy that has not told of the move it works on for this long is taken over from.",
       [](T& t, const V& v) { t.config.moves.lease_ms = v.u32(); }},

      {"nodes.*", "host", kText, "\"127.0.0.1\"", kReloadable,
       "Host name, address, or folder of a Unix socket.",
       [](T& t, const V& v) { t.node->address.host = v.text; }},
      {"nodes.*", "port", integer(1, 65535), "5432", kReloadable, "Port of PostgreSQL.",
       [](T& t, const V& v) { t.node->address.port = static_cast<uint16_t>(v.number); }},
      {"nodes.*", "dbname", kText, kNoDefault, kReloadable, "Database on that node; absent: database.name.",
       [](T& t, const V& v) { t.node->address.dbname = v.text; }},
      {"nodes.*", "shards", kBool, "true", kReloadable,
       "false: `mosaic init` gives this node no shards; as database.default_node, of which catalog queries "
       "are asked, it shows each table once.",
       [](T& t, const V& v) { t.node->has_shards = v.number != 0; }},
      {"nodes.*", "admin_user", kText, "\"postgres\"", kReloadable,
       "Role with which `mosaic init` creates everything.",
       [](T& t, const V& v) { t.node->admin_user = v.text; }},
      {"nodes.*", "admin_password", kSecret, "\"\"", kReloadable,
       "Its password; empty: what libpq finds by itself.",
       [](T& t, const V& v) { t.node->admin_password = v.text; }},

      {"nodes.*", "when_stalled", choice("wait|fail"), "\"wait\"", kReloadable,
       "New statements for a node that has not answered for node_stall_timeout: they are sent to it and "
       "wait, or "
       "fail at once.",
       [](T& t, const V& v) { t.node->refuses_when_slow = v.text == "fail"; }},

      {"shards", "count", integer(1, 65536), "1024", kFixed,
       "Logical shards; fixed by `mosaic init` for good.",
       [](T& t, const V& v) { t.config.shards.count = v.u32(); }},
      {"shards", "function", choice("xxh3|modulo"), "\"xxh3\"", kFixed,
       "From key to shard: xxh3 takes integers, text and uuid; modulo takes integers.",
       [](T& t, const V& v) {
         t.config.shards.function =
             v.text == "modulo" ? routing::ShardFunction::kModulo : routing::ShardFunction::kXxh3;
       }},
      {"shards", "schema_prefix", kText, "\"shard_\"", kFixed, "Shard 42 is the schema shard_0042.",
       [](T& t, const V& v) { t.config.shards.schema_prefix = v.text; }},
      {"shards", "id_epoch_ms", integer(0, 4'102'444'800'000), "1314220021721", kFixed,
       "Unix milliseconds at which the clock of next_id() starts.",
       [](T& t, const V& v) { t.config.shards.id_layout.epoch_ms = v.number; }},
      {"shards", "id_shard_bits", integer(1, 16), "13", kFixed, "Bits of an ID that carry its shard.",
       [](T& t, const V& v) { t.config.shards.id_layout.shard_bits = v.u32(); }},
      {"shards", "id_sequence_bits", integer(1, 22), "10", kFixed,
       "Bits of an ID that count within a millisecond.",
       [](T& t, const V& v) { t.config.shards.id_layout.sequence_bits = v.u32(); }},

      {"tables.*", "key", kText, kNoDefault, kReloadable, "Makes the table sharded, by this column.",
       [](T& t, const V& v) { t.table->key = v.text; }},
      {"tables.*", "id", kText, kNoDefault, kReloadable, "Column of a sharded table that next_id() fills.",
       [](T& t, const V& v) { t.table->id = v.text; }},
      {"tables.*", "unique_within_shard", kTextList, "[]", kReloadable,
       "Unique indexes of a sharded table, by their name or their columns, that need not hold over shards, "
       "such as that of a random UUID.",
       [](T& t, const V& v) { t.table->unique_within_shard = v.list; }},
      {"tables.*", "counted_within_shard", kTextList, "[]", kReloadable,
       "Serial and identity columns of a sharded table whose values may come again on other shards.",
       [](T& t, const V& v) { t.table->counted_within_shard = v.list; }},
      {"tables.*", "reference", kBool, kNoDefault, kReloadable,
       "true: small table, the same rows on every node.",
       [](T& t, const V& v) { t.table->is_reference = v.number != 0; }},
      {"tables.*", "node", kText, kNoDefault, kReloadable, "Pins the whole table to this node.",
       [](T& t, const V& v) { t.table->node = v.text; }},

      {"functions", "clean", kTextList, "[]", kReloadable,
       "Functions that leave nothing in the session (no setting, lock, channel, temporary table ...); for "
       "those in C and "
       "other languages that Mosaic can not read.",
       [](T& t, const V& v) { t.config.clean_functions = v.list; }},
      {"functions", "clean_extensions", kTextList, "[]", kReloadable,
       "Extensions all of whose functions are such; citext, hstore, pgcrypto, unaccent and their like are "
       "known to be.",
       [](T& t, const V& v) { t.config.clean_extensions = v.list; }},

      {"functions", "may_name_sharded", kTextList, "[]", kReloadable,
       "Functions and views of the nodes in which the name of a sharded table is meant as it stands there.",
       [](T& t, const V& v) { t.config.may_name_sharded = v.list; }},

      {"pool", "default_pool_size", integer(1, 100'000), "20", kReloadable,
       "Server connections per node and user, over all workers.",
       [](T& t, const V& v) { t.config.proxy.pool.default_pool_size = v.u32(); }},
      {"pool", "min_pool_size", integer(0, 100'000), "0", kReloadable,
       "Server connections per node and user that are kept while the user has a client.",
       [](T& t, const V& v) { t.config.proxy.pool.min_pool_size = v.u32(); }},
      {"pool", "reserve_pool_size", integer(0, 100'000), "0", kReloadable,
       "Connections beyond default_pool_size for clients that have waited for reserve_pool_timeout.",
       [](T& t, const V& v) { t.config.proxy.pool.reserve_pool_size = v.u32(); }},
      {"pool", "reserve_pool_timeout", seconds(), "5", kReloadable,
       "How long a client waits before the reserve is used.",
       [](T& t, const V& v) { t.config.proxy.pool.reserve_pool_timeout_ms = v.u32(); }},
      {"pool", "max_db_connections", integer(0, 1'000'000), "0", kReloadable,
       "Server connections per node, over all users; 0: no limit. A user without one gets one of another's "
       "idle ones.",
       [](T& t, const V& v) { t.config.proxy.pool.max_db_connections = v.u32(); }},
      {"pool", "max_user_connections", integer(0, 1'000'000), "0", kReloadable,
       "Server connections per user, over all nodes; 0: no limit.",
       [](T& t, const V& v) { t.config.proxy.pool.max_user_connections = v.u32(); }},
      {"pool", "max_prepared_statements", integer(0, 1'000'000), "500", kReloadable,
       "Prepared statements kept on one server connection.",
       [](T& t, const V& v) { t.config.proxy.pool.max_prepared_statements = v.u32(); }},
      {"pool", "prepare_threshold", integer(0, 1'000'000), "5", kReloadable,
       "How often a statement that a driver does not prepare must come before servers keep it prepared; 0: "
       "never.",
       [](T& t, const V& v) { t.config.proxy.pool.prepare_threshold = v.u32(); }},
      {"pool", "prepare_simple_queries", kBool, "true", kReloadable,
       "true: simple queries that come prepare_threshold times, but for literals, are kept prepared too.",
       [](T& t, const V& v) { t.config.proxy.pool.prepare_simple_queries = v.number != 0; }},
      {"pool", "query_wait_timeout", seconds(), "120", kReloadable,
       "How long a client waits for a server connection before it gets an error; 0: for ever.",
       [](T& t, const V& v) { t.config.proxy.pool.query_wait_timeout_ms = v.u32(); }},
      {"pool", "server_connect_timeout", seconds(), "15", kReloadable,
       "Limit on connecting and logging in to a node.",
       [](T& t, const V& v) { t.config.proxy.pool.server_connect_timeout_ms = v.u32(); }},
      {"pool", "server_login_retry", seconds(), "1", kReloadable,
       "Pause after a failed connection to a node.",
       [](T& t, const V& v) { t.config.proxy.pool.server_login_retry_ms = v.u32(); }},
      {"pool", "node_probe_interval", seconds(), "1", kReloadable,
       "How often each node is asked for a sign of life, without a login; 0: never.",
       [](T& t, const V& v) { t.config.proxy.pool.node_probe_interval_ms = v.u32(); }},
      {"pool", "node_stall_timeout", seconds(100), "3", kReloadable,
       "A node that answers neither the probe nor any statement for this long is slow (see when_stalled).",
       [](T& t, const V& v) { t.config.proxy.pool.node_stall_timeout_ms = v.u32(); }},
      {"pool", "server_idle_timeout", seconds(), "600", kReloadable,
       "An idle server connection is closed after this; 0: never.",
       [](T& t, const V& v) { t.config.proxy.pool.server_idle_timeout_ms = v.u32(); }},
      {"pool", "server_lifetime", seconds(), "3600", kReloadable,
       "A server connection older than this is closed when it is next unused; 0: never.",
       [](T& t, const V& v) { t.config.proxy.pool.server_lifetime_ms = v.u32(); }},
      {"pool", "tcp_keepidle", seconds(), "60", kReloadable,
       "A TCP connection, of a client or to a node, that is silent for this long is asked whether its other "
       "end is "
       "still there; 0: as the system does.",
       [](T& t, const V& v) { t.config.proxy.pool.keepalive.idle_ms = v.u32(); }},
      {"pool", "tcp_keepintvl", seconds(), "10", kReloadable,
       "Pause between such questions; 0: as the system does.",
       [](T& t, const V& v) { t.config.proxy.pool.keepalive.interval_ms = v.u32(); }},
      {"pool", "tcp_keepcnt", integer(0, 127), "6", kReloadable,
       "Unanswered questions after which the connection counts as lost; 0: as the system does.",
       [](T& t, const V& v) { t.config.proxy.pool.keepalive.count = v.u32(); }},
      {"pool", "tcp_user_timeout", seconds(), "0", kReloadable,
       "A connection to a node that has not acknowledged what was sent for this long is lost; 0: as the "
       "system does.",
       [](T& t, const V& v) { t.config.proxy.pool.keepalive.user_timeout_ms = v.u32(); }},
      {"pool", "cancel_wait_timeout", seconds(), "10", kReloadable,
       "How long a cancel request may wait; 0: for ever.",
       [](T& t, const V& v) { t.config.proxy.pool.cancel_wait_timeout_ms = v.u32(); }},
      {"pool", "max_waiting_clients", integer(1, 10'000'000), "10000", kReloadable,
       "Clients that may wait per node, user and worker; one more gets an error at once.",
       [](T& t, const V& v) { t.config.proxy.pool.max_waiting_clients = v.u32(); }},

      {"limits", "max_client_conn", integer(1, 10'000'000), "10000", kReloadable,
       "Client connections, over all workers.",
       [](T& t, const V& v) { t.config.proxy.max_client_conn = v.u32(); }},
      {"limits", "max_console_clients", integer(1, 1000), "20", kReloadable,
       "Console sessions at a time; each is a thread.",
       [](T& t, const V& v) { t.config.max_console_clients = v.u32(); }},
      {"limits", "client_login_timeout", seconds(), "60", kReloadable, "Limit on a client's login; 0: none.",
       [](T& t, const V& v) { t.config.proxy.client_login_timeout_ms = v.u32(); }},
      {"limits", "client_idle_timeout", seconds(), "0", kReloadable,
       "A client that sends nothing outside a transaction is closed after this; 0: never.",
       [](T& t, const V& v) { t.config.proxy.client_idle_timeout_ms = v.u32(); }},
      {"limits", "idle_transaction_timeout", seconds(), "0", kReloadable,
       "A client that sends nothing within a transaction is closed after this; 0: never.",
       [](T& t, const V& v) { t.config.proxy.idle_transaction_timeout_ms = v.u32(); }},
      {"limits", "query_timeout", seconds(), "0", kReloadable,
       "A statement that runs longer is ended; 0: none.",
       [](T& t, const V& v) { t.config.proxy.query_timeout_ms = v.u32(); }},
      {"limits", "max_client_prepared_statements", integer(1, 10'000'000), "10000", kReloadable,
       "Named prepared statements of one client.",
       [](T& t, const V& v) { t.config.proxy.max_client_prepared_statements = v.u32(); }},
      {"limits", "max_statement_bytes", bytes(kKiB, kGiB), "\"256MiB\"", kReloadable,
       "Largest Query, Parse or Bind message.",
       [](T& t, const V& v) { t.config.proxy.max_statement_bytes = v.u64(); }},
      {"limits", "max_held_bytes", bytes(kKiB, kGiB), "\"64KiB\"", kReloadable,
       "What one client has said in a transaction that may still move to another node, and its portals that "
       "no "
       "server has. A transaction that has said more stays on its node.",
       [](T& t, const V& v) { t.config.proxy.max_held_bytes = v.u64(); }},
      {"limits", "max_client_prepared_bytes", bytes(kKiB, 16 * kGiB), "\"64MiB\"", kReloadable,
       "Texts of the named prepared statements of one client.",
       [](T& t, const V& v) { t.config.proxy.max_client_prepared_bytes = v.u64(); }},
      {"limits", "max_pipeline_messages", integer(16, 10'000'000), "10000", kReloadable,
       "Messages of one client that a server has not answered yet; no more are taken until it has.",
       [](T& t, const V& v) { t.config.proxy.max_pipeline_messages = v.u32(); }},
      {"limits", "max_replay_bytes", bytes(kKiB, kGiB), "\"64KiB\"", kReloadable,
       "Messages of one client that are kept until a server has answered the first of them, to be sent again "
       "where it has lost a prepared statement.",
       [](T& t, const V& v) { t.config.proxy.max_replay_bytes = v.u64(); }},
      {"limits", "client_buffer_bytes", bytes(4 * kKiB, kGiB), "\"1MiB\"", kReloadable,
       "Unsent bytes towards a client before its server is paused.",
       [](T& t, const V& v) { t.config.proxy.client_buffer_bytes = v.u64(); }},
      {"limits", "server_buffer_bytes", bytes(4 * kKiB, kGiB), "\"1MiB\"", kReloadable,
       "Unsent bytes towards a server before its client is paused.",
       [](T& t, const V& v) { t.config.proxy.server_buffer_bytes = v.u64(); }},
      {"limits", "shape_cache_bytes", bytes(64 * kKiB, 16 * kGiB), "\"16MiB\"", kReloadable,
       "Cache of statement shapes, per worker.",
       [](T& t, const V& v) { t.config.proxy.shape_cache_bytes = v.u64(); }},
      {"limits", "statement_cache_bytes", bytes(64 * kKiB, 16 * kGiB), "\"16MiB\"", kReloadable,
       "Texts of prepared statements, per worker.",
       [](T& t, const V& v) { t.config.proxy.statement_cache_bytes = v.u64(); }},
  };
  return table;
}

}  // namespace

std::span<const ConfigKey> config_keys() { return keys(); }

const ConfigKey* find_config_key(std::string_view section, std::string_view name) {
  const auto at = std::find_if(keys().begin(), keys().end(), [&](const ConfigKey& key) {
    return key.section == section && key.name == name;
  });
  return at == keys().end() ? nullptr : &*at;
}

std::span<const std::string> config_sections() {
  static const std::vector<std::string> sections = [] {
    std::vector<std::string> found;
    for (const ConfigKey& key : keys()) {
      if (found.empty() || found.back() != key.section) found.emplace_back(key.section);
    }
    return found;
  }();
  return sections;
}

const ConfigKey* find_config_key_of(std::string_view full_name) {
  const size_t first = full_name.find('.');
  const size_t last = full_name.rfind('.');
  if (first == std::string_view::npos) return nullptr;
  std::string section(full_name.substr(0, first));
  if (first != last) section += ".*";
  return find_config_key(section, full_name.substr(last + 1));
}

}  // namespace mosaic::admin
