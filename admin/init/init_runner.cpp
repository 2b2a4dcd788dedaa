#include "admin/init/init_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "admin/catalog/catalog_json.h"
#include "admin/catalog/catalog_schema.h"
#include "admin/catalog/catalog_store.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/init/init_scripts.h"
#include "admin/init/rehearsal.h"
#include "admin/init/shard_workers.h"
#include "admin/init/table_columns.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

constexpr int kServerVersionMin = 140000;  // CREATE OR REPLACE TRIGGER, multiranges in the parser
constexpr std::chrono::milliseconds kConnectLimit{10'000};
constexpr const char* kInitLock = "SELECT pg_try_advisory_lock(hashtext('mosaic init'), 0)";

Error config_error(std::string message, std::string detail, std::string hint) {
  return Error{routing::sqlstate::kConfigError, std::move(message), std::move(detail), std::move(hint)};
}

Status with_node(const Status& status, const std::string& node) {
  if (status) return status;
  Error error = status.error();
  error.message = fmt::format("node {}: {}", node, error.message);
  return error;
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

}  // namespace

ConnectionTarget admin_target(const NodeConfig& node) {
  ConnectionTarget target;
  target.host = node.address.host;
  target.port = node.address.port;
  target.dbname = node.address.dbname;
  target.user = node.admin_user;
  target.password = node.admin_password;
  return target;
}

std::vector<std::string> spread_shards(uint32_t shard_count, const std::vector<std::string>& nodes) {
  std::vector<std::string> shard_nodes;
  for (uint64_t shard = 0; shard < shard_count; ++shard)
    shard_nodes.push_back(nodes[shard * nodes.size() / shard_count]);
  return shard_nodes;
}

InitRunner::InitRunner(const Config& config, const SchemaPlan& plan, const InitOptions& options)
    : config_(config), plan_(plan), options_(options) {}

Status InitRunner::run() {
  if (Status status = connect_nodes(); !status) return status;
  if (Status status = find_catalog(); !status) return status;
  bool is_done = is_complete_;
  for (const NodeConfig& node : config_.nodes) {
    if (Status status = find_work(node.address.name); !status) return with_node(status, node.address.name);
    is_done = is_done && work_[node.address.name].is_done();
  }
  if (is_done) {
    say("nothing to do: all shards are there");
    return {};
  }
  describe_work();
  if (Status status = rehearse_nodes(); !status) return status;
  if (options_.is_dry_run) return {};
  if (!has_catalog_) {
    if (Status status = create_catalog(); !status) return status;
  }
  for (const NodeConfig& node : config_.nodes) {
    if (Status status = prepare_node(node.address.name); !status) return with_node(status, node.address.name);
  }
  if (Status status = apply_shards(); !status) return status;
  if (Status status = finish_nodes(); !status) return status;
  return learn_tables();
}

Status InitRunner::connect_nodes() {
  std::string failures;
  for (const NodeConfig& node : config_.nodes) {
    const std::string& name = node.address.name;
    auto connection = Connection::open(admin_target(node), {.connect = kConnectLimit});
    Status status = connection ? check_node(name, *connection) : Status(connection.error());
    if (!status) {
      failures += fmt::format("{}node {}: {}", failures.empty() ? "" : "; ", name, status.error().to_line());
    } else {
      connections_.emplace(name, std::move(*connection));
    }
  }
  if (failures.empty()) return {};
  return config_error("not all nodes are ready", failures,
                      fmt::format("every node needs the database: createdb -h HOST -p PORT -U ADMIN_USER {}",
                                  config_.proxy.database));
}

Status InitRunner::check_node(const std::string& node, Connection& connection) {
  auto rows = connection.query(
      "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), "
      "current_setting('server_version')");
  if (!rows) return rows.error();
  if (rows->integer(0, 0) < kServerVersionMin)
    return config_error(fmt::format("PostgreSQL {} is too old", rows->text(0, 2)), "14 or newer is needed",
                        "");
  if (rows->text(0, 1) == "t")
    return config_error("the server is a standby", "init writes; name the primary", "");
  for (const std::string& user : config_.application_users) {
    auto found = connection.query("SELECT FROM pg_roles WHERE rolname = $1", {user});
    if (!found) return found.error();
    if (found->count() == 0)
      return config_error(fmt::format("role \"{}\" of database.application_users does not exist", user), "",
                          fmt::format("CREATE ROLE {} LOGIN", routing::quote_identifier(user)));
  }
  auto record =
      connection.query("SELECT to_regclass($1) IS NOT NULL", {config_.catalog.schema + ".node_record"});
  if (!record) return record.error();
  if (record->text(0, 0) != "t") return {};
  auto owner = connection.query(fmt::format("SELECT node FROM {}.node_record", config_.catalog.schema));
  if (!owner) return owner.error();
  if (owner->count() > 0 && owner->text(0, 0) != node)
    return config_error(fmt::format("this database was initialised as node \"{}\"", owner->text(0, 0)), "",
                        "give it that name in the configuration, or name another database");
  return {};
}

Status InitRunner::find_catalog() {
  Connection& catalog = connections_.at(config_.catalog.node);
  auto lock = catalog.query(kInitLock);
  if (!lock) return lock.error();
  if (lock->text(0, 0) != "t")
    return config_error("another `mosaic init` is running", "it holds the lock in the catalog's database",
                        "wait until it ends");
  auto is_there = catalog.query("SELECT to_regclass($1) IS NOT NULL", {config_.catalog.schema + ".meta"});
  if (!is_there) return is_there.error();
  has_catalog_ = is_there->text(0, 0) == "t";
  if (has_catalog_) return check_catalog(catalog);
  std::vector<std::string> nodes;
  for (const NodeConfig& node : config_.nodes) nodes.push_back(node.address.name);
  shard_nodes_ = spread_shards(config_.shards.count, nodes);
  return {};
}

Status InitRunner::create_catalog() {
  using routing::quote_literal;
  Connection& catalog = connections_.at(config_.catalog.node);
  const std::string& schema = config_.catalog.schema;
  const ClusterLayout layout = layout_of(config_);
  std::string script = "BEGIN;\n" + catalog_ddl(schema);
  script += fmt::format(
      "INSERT INTO {}.meta (format, shard_count, shard_function, schema_prefix, id_shard_bits, "
      "id_sequence_bits, id_epoch_ms, "
      "default_node, schema_digest) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {});\n",
      schema, kCatalogFormat, layout.shard_count, quote_literal(layout.shard_function),
      quote_literal(layout.schema_prefix), layout.id_shard_bits, layout.id_sequence_bits, layout.id_epoch_ms,
      quote_literal(layout.default_node), quote_literal(plan_.digest));
  script += fmt::format("INSERT INTO {}.shards (shard, node) VALUES ", schema);
  for (size_t shard = 0; shard < shard_nodes_.size(); ++shard)
    script += fmt::format("{}({}, {})", shard == 0 ? "" : ", ", shard, quote_literal(shard_nodes_[shard]));
  script += ";\n";
  for (const CatalogTable& table : declared_tables(config_))
    script += fmt::format(
        "INSERT INTO {}.tables (name, kind, key_column, id_column, node) VALUES ({}, {}, {}, {}, {});\n",
        schema, quote_literal(table.name), quote_literal(to_text(table.kind)), quote_literal(table.key),
        quote_literal(table.id), quote_literal(table.node));
  for (size_t i = 0; i < plan_.statements.size(); ++i)
    script += fmt::format("INSERT INTO {}.schema_statements VALUES ({}, {});\n", schema, i,
                          quote_literal(plan_.statements[i].statement.text));
  if (config_.catalog.user != config_.find_node(config_.catalog.node)->admin_user)
    script += fmt::format(
        "GRANT USAGE ON SCHEMA {0} TO {1};\nGRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {0} "
        "TO {1};\n",
        schema, routing::quote_identifier(config_.catalog.user));
  if (Status status = catalog.execute(script + "COMMIT;\n"); !status) return status;
  return check_catalog(catalog);
}

// What the catalog records can not be taken back by another run: the statements must have proven themselves
// before.
Status InitRunner::rehearse_nodes() {
  for (const NodeConfig& node : config_.nodes) {
    const NodeWork& work = work_.at(node.address.name);
    if (!work.needs_public) continue;
    const auto sample = work.create.empty() ? std::nullopt : std::optional(work.create.front());
    Connection& connection = connections_.at(node.address.name);
    std::vector<std::string> warnings;
    if (Status status = rehearse(connection, config_, plan_, node.address.name, sample, warnings); !status)
      return with_node(status, node.address.name);
    for (const std::string& warning : warnings) say("warning: " + warning);
  }
  return {};
}

Status InitRunner::check_catalog(Connection& catalog) {
  const std::string& schema = config_.catalog.schema;
  auto rows =
      catalog.query(fmt::format("SELECT statement FROM {}.schema_statements ORDER BY position", schema));
  if (!rows) return rows.error();
  std::vector<std::string> applied;
  for (int row = 0; row < rows->count(); ++row) applied.emplace_back(rows->text(row, 0));
  // The admin connection reads it here, not the catalog's user: init may run before that role can log in.
  auto connection =
      Connection::open(admin_target(*config_.find_node(config_.catalog.node)), {.connect = kConnectLimit});
  if (!connection) return connection.error();
  auto state = CatalogStore(std::move(*connection), config_).load();
  if (!state) return state.error();
  if (const auto found = differences(*state, config_); !found.empty())
    return config_error(
        "the catalog and the configuration disagree", fmt::format("{}", fmt::join(found, "; ")),
        "correct the configuration: what an earlier `mosaic init` fixed can not be changed by another");
  if (const auto changed = schema_differences(applied, plan_); !changed.empty())
    return config_error(
        "the schema file is not the one that was applied", fmt::format("{}", fmt::join(changed, "; ")),
        "give the applied file; init makes shards and does not change the tables of existing ones");
  cluster_id_ = state->cluster_id;
  is_complete_ = state->is_complete;
  shard_nodes_ = state->shard_nodes;
  has_catalog_ = true;
  return {};
}

Status InitRunner::find_work(const std::string& node) {
  Connection& connection = connections_.at(node);
  NodeWork& work = work_[node];
  const std::string& schema = config_.catalog.schema;
  auto is_there = connection.query("SELECT to_regclass($1) IS NOT NULL", {schema + ".node_record"});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") {
    work.needs_public = true;
    for (uint32_t shard = 0; shard < shard_nodes_.size(); ++shard) {
      if (shard_nodes_[shard] == node) work.create.push_back(ShardId{shard});
    }
    return {};
  }
  auto record =
      connection.query(fmt::format("SELECT cluster_id, public_digest, grantees FROM {}.node_record", schema));
  if (!record) return record.error();
  if (record->count() > 0 && record->text(0, 0) != cluster_id_)
    return config_error("this database belongs to another cluster",
                        fmt::format("its record says cluster {}, the catalog is {}", record->text(0, 0),
                                    cluster_id_.empty() ? "new" : cluster_id_),
                        "name another database, or another catalog");
  work.needs_public = record->count() == 0 || record->text(0, 1).empty();
  work.needs_public_grants = !work.needs_public && record->text(0, 2) != grantees_text(config_);
  if (!work.needs_public && record->text(0, 1) != plan_.digest)
    return config_error("its tables in public come from another schema file or another version of Mosaic", "",
                        "");
  return find_shard_work(node, connection, work);
}

Status InitRunner::find_shard_work(const std::string& node, Connection& connection, NodeWork& work) {
  auto rows = connection.query(
      fmt::format("SELECT shard, digest, grantees FROM {}.shard_schemas", config_.catalog.schema));
  if (!rows) return rows.error();
  std::map<int64_t, int> row_of;
  for (int row = 0; row < rows->count(); ++row) row_of[rows->integer(row, 0)] = row;
  for (uint32_t shard = 0; shard < shard_nodes_.size(); ++shard) {
    if (shard_nodes_[shard] != node) continue;
    const auto at = row_of.find(shard);
    if (at == row_of.end()) {
      work.create.push_back(ShardId{shard});
    } else if (rows->text(at->second, 1) != plan_.digest) {
      return config_error(
          fmt::format("shard {} comes from another schema file or another version of Mosaic", shard), "", "");
    } else if (rows->text(at->second, 2) != grantees_text(config_)) {
      work.grant.push_back(ShardId{shard});
    }
  }
  return {};
}

void InitRunner::describe_work() const {
  const char* will = options_.is_dry_run ? "would" : "will";
  if (!has_catalog_)
    say(fmt::format("catalog: {} create schema {} on node {}", will, config_.catalog.schema,
                    config_.catalog.node));
  if (!plan_.default_tables.empty())
    say(fmt::format("not in the configuration, so on the default node {}: {}", config_.default_node,
                    fmt::join(plan_.default_tables, ", ")));
  for (const NodeConfig& node : config_.nodes) {
    const NodeWork& work = work_.at(node.address.name);
    std::string line = fmt::format("node {}: ", node.address.name);
    if (work.is_done()) {
      say(line + "nothing to do");
      continue;
    }
    line += fmt::format("{} create {} shards", will, work.create.size());
    if (work.needs_public)
      line += fmt::format(", {} twins, {} reference tables", plan_.sharded_tables.size(),
                          plan_.reference_tables.size());
    if (work.needs_public_grants || !work.grant.empty())
      line += fmt::format(", grant anew on {} shards", work.grant.size());
    for (const auto& [table, where] : plan_.single_tables) {
      if (work.needs_public && where == node.address.name) line += ", table " + table;
    }
    say(line);
  }
}

Status InitRunner::prepare_node(const std::string& node) {
  const NodeWork& work = work_.at(node);
  Connection& connection = connections_.at(node);
  if (work.needs_public) {
    const std::string& schema = config_.catalog.schema;
    Status status = connection.execute(fmt::format(
        "BEGIN;\n{}INSERT INTO {}.node_record (cluster_id, node) VALUES ({}, {}) ON CONFLICT DO "
        "NOTHING;\nCOMMIT;\n",
        node_record_ddl(schema), schema, routing::quote_literal(cluster_id_), routing::quote_literal(node)));
    if (!status) return status;
    return connection.execute(as_transaction(node_script(plan_, config_, node)));
  }
  if (work.needs_public_grants)
    return connection.execute(as_transaction(node_grant_script(plan_, config_, node)));
  return {};
}

Status InitRunner::apply_shards() {
  ShardWorkers workers;
  for (const NodeConfig& node : config_.nodes) {
    const NodeWork& work = work_.at(node.address.name);
    std::vector<ShardJob> jobs;
    for (const ShardId shard : work.create)
      jobs.push_back({shard, [this, shard] { return as_transaction(shard_script(plan_, config_, shard)); }});
    for (const ShardId shard : work.grant)
      jobs.push_back({shard, [this, shard] { return as_transaction(shard_grant_script(config_, shard)); }});
    workers.add_node(node.address.name, admin_target(node), std::move(jobs));
  }
  return workers.run(options_.jobs);
}

Status InitRunner::finish_nodes() {
  for (const NodeConfig& node : config_.nodes) {
    // Shards were committed asynchronously; one synchronous commit flushes the log up to and including them.
    Status status =
        connections_.at(node.address.name)
            .execute(fmt::format("SET synchronous_commit = on; UPDATE {}.node_record SET applied_at = now()",
                                 config_.catalog.schema));
    if (!status) return with_node(status, node.address.name);
  }
  return {};
}

Status InitRunner::learn_tables() {
  Connection& catalog = connections_.at(config_.catalog.node);
  if (Status status = catalog.execute("BEGIN"); !status) return status;
  for (const TableConfig& table : config_.tables) {
    if (Status status = learn_table(table); !status) return status;
  }
  Status status = catalog.execute(
      fmt::format("UPDATE {}.meta SET init_finished_at = coalesce(init_finished_at, now()); COMMIT",
                  config_.catalog.schema));
  if (!status) return status;
  say(fmt::format("done: {} shards on {} nodes", config_.shards.count, config_.nodes.size()));
  return {};
}

Status InitRunner::learn_table(const TableConfig& table) {
  const std::string& node = table.node.empty() ? config_.default_node : table.node;
  const auto columns = read_table_columns(connections_.at(node), table, config_.shards.function);
  if (!columns) return columns.error();
  auto updated =
      connections_.at(config_.catalog.node)
          .query(fmt::format("UPDATE {}.tables SET key_type = $2, columns = $3::jsonb WHERE name = $1",
                             config_.catalog.schema),
                 {table.name, std::string(to_text(columns->key_type)), columns_to_json(columns->columns)});
  return updated ? Status() : Status(updated.error());
}

}  // namespace mosaic::admin
