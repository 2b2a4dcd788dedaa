#include "admin/init/init_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "admin/catalog/catalog_json.h"
#include "admin/catalog/catalog_schema.h"
#include "admin/catalog/catalog_store.h"
#include "admin/catalog/node_connection.h"
#include "admin/catalog/snapshot_builder.h"
#include "admin/init/init_error.h"
#include "admin/init/init_scripts.h"
#include "admin/init/node_comparison.h"
#include "admin/init/reference_rows.h"
#include "admin/init/rehearsal.h"
#include "admin/init/shard_workers.h"
#include "routing/postgres/sql/schema_statements.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

constexpr int kServerVersionMin = 140000;  // CREATE OR REPLACE TRIGGER, multiranges in the parser
constexpr const char* kInitLock = "SELECT pg_try_advisory_lock(hashtext('mosaic init'), 0)";

Status with_node(const Status& status, const std::string& node) {
  if (status) return status;
  Error error = status.error();
  error.message = fmt::format("node {}: {}", node, error.message);
  return error;
}

// libpq shows no SQLSTATE of a failed login; only this one can be mended by a command.
Error with_advice(Error error, const NodeConfig& node) {
  const std::string missing = fmt::format("database \"{}\" does not exist", node.address.dbname);
  if (error.detail.find(missing) != std::string::npos)
    error.hint = fmt::format("createdb -h {} -p {} -U {} {}", node.address.host, node.address.port,
                             node.admin_user, node.address.dbname);
  return error;
}

}  // namespace

std::vector<std::string> spread_shards(uint32_t shard_count, const std::vector<std::string>& nodes) {
  std::vector<std::string> shard_nodes;
  for (uint64_t shard = 0; shard < shard_count; ++shard)
    shard_nodes.push_back(nodes[shard * nodes.size() / shard_count]);
  return shard_nodes;
}

InitRunner::InitRunner(const Config& config, std::optional<SchemaPlan> plan, const InitOptions& options)
    : config_(config),
      has_file_(plan.has_value()),
      plan_(plan ? std::move(*plan) : SchemaPlan()),
      options_(options) {
  for (const NodeConfig& node : config.nodes) {
    if (options.only_node.empty() || node.address.name == options.only_node) nodes_.push_back(&node);
  }
}

Status InitRunner::run() {
  if (Status status = connect_nodes(); !status) return status;
  if (Status status = find_catalog(); !status) return status;
  bool is_done = is_complete_ && !needs_record_;
  for (const NodeConfig* node : nodes_) {
    if (Status status = find_work(node->address.name); !status) return with_node(status, node->address.name);
    is_done = is_done && work_[node->address.name].is_done();
  }
  if (is_done) {
    options_.say(plan_.sharded_tables.empty() ? "nothing to do" : "nothing to do: all shards are there");
    return {};
  }
  describe_work();
  if (Status status = rehearse_nodes(); !status) return status;
  for (const NodeConfig* node : nodes_) {
    if (!is_complete_ || !work_.at(node->address.name).needs_listing) continue;
    if (Status status = check_new_node(*node); !status) return with_node(status, node->address.name);
  }
  if (options_.is_dry_run) return {};
  if (Status status = has_catalog_ ? record_step() : create_catalog(); !status) return status;
  for (const NodeConfig* node : nodes_) {
    if (Status status = prepare_node(node->address.name); !status)
      return with_node(status, node->address.name);
  }
  if (Status status = apply_shards(); !status) return status;
  if (Status status = finish_nodes(); !status) return status;
  if (Status status = take_into_use(); !status) return status;
  return options_.only_node.empty() ? learn_tables() : Status();
}

WaitLimits InitRunner::limits() const { return {.connect = kConnectLimit, .stop = options_.stop}; }

Status InitRunner::connect_nodes() {
  std::set<std::string> names{config_.catalog.node, config_.default_node};
  for (const NodeConfig* node : nodes_) names.insert(node->address.name);
  std::string failures;
  for (const std::string& name : names) {
    const NodeConfig& node = *config_.find_node(name);
    auto connection = Connection::open(admin_target(node), limits());
    Status status =
        connection ? check_node(name, *connection) : Status(with_advice(connection.error(), node));
    if (!status) {
      failures += fmt::format("\n  node {}: {}", name, status.error().to_line());
    } else {
      connections_.emplace(name, std::move(*connection));
    }
  }
  if (failures.empty()) return {};
  return init_error("not all nodes are ready:" + failures, "", "");
}

Status InitRunner::check_node(const std::string& node, Connection& connection) {
  auto rows = connection.query(
      "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), "
      "current_setting('server_version')");
  if (!rows) return rows.error();
  if (rows->integer(0, 0) < kServerVersionMin)
    return init_error(fmt::format("PostgreSQL {} is too old", rows->text(0, 2)), "14 or newer is needed", "");
  if (rows->text(0, 1) == "t")
    return init_error("the server is a standby", "init writes; name the primary", "");
  for (const std::string& user : config_.application_users) {
    auto found = connection.query("SELECT FROM pg_roles WHERE rolname = $1", {user});
    if (!found) return found.error();
    if (found->count() == 0)
      return init_error(fmt::format("role \"{}\" of database.application_users does not exist", user), "",
                        fmt::format("CREATE ROLE {} LOGIN", routing::quote_identifier(user)));
  }
  auto record =
      connection.query("SELECT to_regclass($1) IS NOT NULL", {config_.catalog.schema + ".node_record"});
  if (!record) return record.error();
  if (record->text(0, 0) != "t") return {};
  auto owner = connection.query(fmt::format("SELECT node FROM {}.node_record", config_.catalog.schema));
  if (!owner) return owner.error();
  if (owner->count() > 0 && owner->text(0, 0) != node)
    return init_error(fmt::format("this database was initialised as node \"{}\"", owner->text(0, 0)), "",
                      "give it that name in the configuration, or name another database");
  return {};
}

Status InitRunner::find_catalog() {
  Connection& catalog = connections_.at(config_.catalog.node);
  auto lock = catalog.query(kInitLock);
  if (!lock) return lock.error();
  if (lock->text(0, 0) != "t")
    return init_error("another `mosaic init` is running", "it holds the lock in the catalog's database",
                      "wait until it ends");
  auto is_there = catalog.query("SELECT to_regclass($1) IS NOT NULL", {config_.catalog.schema + ".meta"});
  if (!is_there) return is_there.error();
  has_catalog_ = is_there->text(0, 0) == "t";
  if (has_catalog_) return check_catalog(catalog);
  if (!options_.only_node.empty())
    return init_error(fmt::format("there is no catalog on node {}", config_.catalog.node), "",
                      "run `mosaic init` first");
  if (Status status = has_file_ ? Status() : plan_without_file({}); !status) return status;
  if (Status status = check_tables({}); !status) return status;
  std::vector<std::string> nodes;
  for (const NodeConfig& node : config_.nodes) {
    if (node.has_shards) nodes.push_back(node.address.name);
  }
  shard_nodes_ = spread_shards(config_.shards.count, nodes);
  return {};
}

// Without a file a run goes on with what is recorded, or has tables to look after that others make.
Status InitRunner::plan_without_file(const std::vector<AppliedStatement>& applied) {
  std::string text;
  for (const AppliedStatement& statement : applied) text += statement.text + ";\n";
  const auto statements = routing::read_schema(text);
  if (!statements) return statements.error();
  ConfigErrors errors;
  plan_ = plan_schema(*statements, config_, errors);
  if (errors.is_empty()) return {};
  return init_error(
      "the schema that was applied does not fit the configuration:\n" + errors.to_text("applied schema"), "",
      "");
}

// Tables that the configuration lists must come from somewhere. `known`: those of the catalog.
Status InitRunner::check_tables(const std::vector<std::string>& known) {
  std::vector<std::string> lines;
  for (const TableConfig& table : config_.tables) {
    const auto is_in = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), table.name) != names.end();
    };
    const bool is_created = !is_in(plan_.uncreated_tables);
    if (is_in(known)) continue;
    if (!is_created && has_file_) {
      lines.push_back(fmt::format(
          "[tables.{}] is in the configuration, but the schema file does not create it", table.name));
    } else if (!is_created && !table.key.empty()) {
      lines.push_back(
          fmt::format("[tables.{0}] is sharded, so that every shard needs it: give --schema FILE, with "
                      "CREATE TABLE {0} in the file",
                      table.name));
    } else if (is_created && has_catalog_ &&
               !plan_.creates(table.name, plan_.last_step() - (needs_record_ ? 1 : 0))) {
      lines.push_back(
          fmt::format("[tables.{}] was no part of the configuration when the table was made, so it "
                      "lives on the default node; take the section out, or move the rows to a table of "
                      "another name",
                      table.name));
    }
  }
  if (lines.empty()) return {};
  return init_error(fmt::format("tables without a place:\n  {}", fmt::join(lines, "\n  ")), "", "");
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
      quote_literal(layout.default_node), quote_literal(plan_.digest()));
  script += fmt::format("INSERT INTO {}.shards (shard, node) VALUES ", schema);
  for (size_t shard = 0; shard < shard_nodes_.size(); ++shard)
    script += fmt::format("{}({}, {})", shard == 0 ? "" : ", ", shard, quote_literal(shard_nodes_[shard]));
  script += ";\n";
  script += table_rows();
  for (size_t i = 0; i < plan_.statements.size(); ++i)
    script += fmt::format("INSERT INTO {}.schema_statements (position, statement) VALUES ({}, {});\n", schema,
                          i, quote_literal(plan_.statements[i].statement.text));
  if (config_.catalog.user != config_.find_node(config_.catalog.node)->admin_user)
    script += fmt::format(
        "GRANT USAGE ON SCHEMA {0} TO {1};\nGRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {0} "
        "TO {1};\n",
        schema, routing::quote_identifier(config_.catalog.user));
  if (Status status = catalog.execute(script + "COMMIT;\n"); !status) return status;
  return check_catalog(catalog);
}

// Tables of the configuration, with what the rehearsal has read of them: a row that is there keeps its place.
std::string InitRunner::table_rows() const {
  using routing::quote_literal;
  std::string script;
  for (const CatalogTable& table : declared_tables(config_)) {
    const auto read = columns_.find(table.name);
    if (read == columns_.end()) continue;
    script += fmt::format(
        "INSERT INTO {}.tables (name, kind, key_column, id_column, node, key_type, columns) VALUES ({}, {}, "
        "{}, {}, {}, {}, {}) ON CONFLICT (name) DO UPDATE SET key_type = EXCLUDED.key_type, columns = "
        "EXCLUDED.columns;\n",
        config_.catalog.schema, quote_literal(table.name), quote_literal(to_text(table.kind)),
        quote_literal(table.key), quote_literal(table.id), quote_literal(table.node),
        quote_literal(to_text(read->second.key_type)), quote_literal(columns_to_json(read->second.columns)));
  }
  return script;
}

// Before anything else is done, so that a run that is killed is continued by the next.
Status InitRunner::record_step() {
  if (!needs_record_) return {};
  const std::string& schema = config_.catalog.schema;
  std::string script = fmt::format(
      "BEGIN;\nALTER TABLE {}.schema_statements ADD COLUMN IF NOT EXISTS step integer NOT NULL DEFAULT 0;\n",
      schema);
  for (const PlacedStatement& placed : plan_.statements) {
    if (placed.step == plan_.last_step() && placed.step > 0)
      script += fmt::format(
          "INSERT INTO {0}.schema_statements SELECT coalesce(max(position), -1) + 1, {1}, {2} FROM "
          "{0}.schema_statements;\n",
          schema, routing::quote_literal(placed.statement.text), placed.step);
  }
  script += table_rows();
  script += fmt::format("UPDATE {}.meta SET schema_digest = {};\nCOMMIT;\n", schema,
                        routing::quote_literal(plan_.digest()));
  return connections_.at(config_.catalog.node).execute(script);
}

// What the catalog records can not be taken back by another run: the statements must have proven themselves
// before.
Status InitRunner::rehearse_nodes() {
  for (const NodeConfig* node : nodes_) {
    const std::string& name = node->address.name;
    if (Status status = rehearse_node(name, work_.at(name)); !status) return with_node(status, name);
  }
  return {};
}

// A node that comes to a cluster that is in use gets statements at once.
Status InitRunner::check_new_node(const NodeConfig& node) {
  const std::string& name = node.address.name;
  if (name == config_.default_node) return {};
  const auto differences = describe_differences(connections_.at(config_.default_node), connections_.at(name));
  if (!differences) return differences.error();
  for (const std::string& line : *differences) options_.say(fmt::format("node {}: note that {}", name, line));
  return check_logins(config_, node, limits());
}

Status InitRunner::rehearse_node(const std::string& node, const NodeWork& work) {
  if (work.is_done() && !needs_record_) return {};
  RehearsedWork sample;
  sample.is_new = work.needs_public;
  sample.public_step = work.public_step;
  if (!work.create.empty()) sample.new_shard = work.create.front();
  if (!work.extend.empty()) {
    sample.old_shard = work.extend.front().shard;
    sample.shard_step = work.extend.front().step;
  }
  return rehearse(connections_.at(node), config_, plan_, node, sample, columns_);
}

Status InitRunner::check_catalog(Connection& catalog) {
  const std::string& schema = config_.catalog.schema;
  // A catalog of an earlier version has no column `step`.
  auto rows = catalog.query(fmt::format(
      "SELECT statement, coalesce((to_jsonb(s) ->> 'step')::int, 0) FROM {}.schema_statements s ORDER BY "
      "2, position",
      schema));
  if (!rows) return rows.error();
  std::vector<AppliedStatement> applied;
  for (int row = 0; row < rows->count(); ++row)
    applied.push_back({std::string(rows->text(row, 0)), static_cast<uint32_t>(rows->integer(row, 1))});
  // The admin connection reads it here, not the catalog's user: init may run before that role can log in.
  auto connection = Connection::open(admin_target(*config_.find_node(config_.catalog.node)), limits());
  if (!connection) return connection.error();
  auto state = CatalogStore(std::move(*connection), config_).load();
  if (!state) return state.error();
  std::vector<std::string> found = differences(*state, config_);
  for (const std::string& table : unlisted_tables(*state, config_))
    found.push_back(fmt::format("tables.{}: the catalog has it, the configuration does not list it", table));
  if (!found.empty())
    return init_error(
        "the catalog and the configuration disagree", fmt::format("{}", fmt::join(found, "; ")),
        "correct the configuration: what an earlier `mosaic init` fixed can not be changed by another");
  if (Status status = has_file_ ? Status() : plan_without_file(applied); !status) return status;
  if (const auto changed = continue_plan(plan_, applied, config_); !changed.empty())
    return init_error(
        fmt::format("the schema file lacks statements that were applied:\n  {}", fmt::join(changed, "\n  ")),
        "",
        "leave them as they were, and write each change behind them as a statement of its own (ALTER TABLE "
        "..., CREATE INDEX ..., CREATE OR REPLACE FUNCTION ...)");
  has_catalog_ = true;
  cluster_id_ = state->cluster_id;
  is_complete_ = state->is_complete;
  shard_nodes_ = state->shard_nodes;
  nodes_in_use_ = state->nodes;
  if (!options_.only_node.empty())
    return is_complete_ ? Status()
                        : init_error("`mosaic init` has not finished", "",
                                     "run it again with the same schema file; it goes on where it stopped");
  const bool has_new_statements = applied.size() < plan_.statements.size();
  needs_record_ = has_new_statements;
  std::vector<std::string> known;
  for (const CatalogTable& table : state->tables) known.push_back(table.name);
  if (Status status = check_tables(known); !status) return status;
  needs_record_ = has_new_statements || !unmade_tables(*state, config_).empty();
  return {};
}

std::vector<std::string> InitRunner::reference_tables() const {
  std::vector<std::string> names;
  for (const TableConfig& table : config_.tables) {
    if (table.is_reference) names.push_back(table.name);
  }
  return names;
}

Status InitRunner::find_work(const std::string& node) {
  auto found = find_node_work(connections_.at(node), node, {config_, plan_, cluster_id_, shard_nodes_});
  if (!found) return found.error();
  NodeWork& work = work_[node] = std::move(*found);
  work.needs_listing = std::find(nodes_in_use_.begin(), nodes_in_use_.end(), node) == nodes_in_use_.end();
  if (!is_complete_ || !work.needs_listing || node == config_.default_node) return {};
  auto missing =
      find_missing_rows(connections_.at(config_.default_node), connections_.at(node), reference_tables());
  if (!missing) return missing.error();
  work.fill = std::move(*missing);
  return {};
}

void InitRunner::describe_work() const {
  const char* will = options_.is_dry_run ? "would" : "will";
  if (!has_catalog_)
    options_.say(fmt::format("catalog: {} create schema {} on node {}", will, config_.catalog.schema,
                             config_.catalog.node));
  const bool is_growing = std::any_of(work_.begin(), work_.end(), [](const auto& entry) {
    return entry.second.public_step || !entry.second.extend.empty();
  });
  for (const PlacedStatement& placed : plan_.statements) {
    if (is_growing && placed.step == plan_.last_step())
      options_.say(fmt::format("new in the schema: {}",
                               placed.statement.text.substr(0, placed.statement.text.find('\n'))));
  }
  std::vector<std::string> unlisted = plan_.default_tables;
  std::erase_if(unlisted, [&](const std::string& table) {
    return has_catalog_ && !(needs_record_ && plan_.creates(table, plan_.last_step() - 1));
  });
  if (!unlisted.empty())
    options_.say(fmt::format("not in the configuration, so on the default node {}: {}", config_.default_node,
                             fmt::join(unlisted, ", ")));
  for (const NodeConfig* node : nodes_) {
    const std::string& name = node->address.name;
    options_.say(fmt::format("node {}: {}", name, describe(work_.at(name), name, plan_, will)));
  }
}

Status InitRunner::prepare_node(const std::string& node) {
  if (!work_.at(node).fill.empty()) return prepare_with_rows(node);
  const std::string script = public_script(node);
  return script.empty() ? Status() : connections_.at(node).execute(as_transaction(script));
}

// In one transaction with what makes the tables, so that a run that is killed leaves none without its rows.
// Nobody writes these tables until the node is in use: the source's transaction lasts as long as this object.
Status InitRunner::prepare_with_rows(const std::string& node) {
  Connection& target = connections_.at(node);
  if (!source_) {
    auto opened = Connection::open(admin_target(*config_.find_node(config_.default_node)), limits());
    if (!opened) return opened.error();
    source_ = std::move(*opened);
    if (Status status = source_->execute("BEGIN"); !status) return status;
    if (Status status = lock_reference_tables(*source_, reference_tables()); !status) return status;
  }
  if (Status status = target.execute("BEGIN;\n" + set_lock_limit()); !status) return status;
  Status status = target.execute(public_script(node));
  if (status) {
    auto missing = find_missing_rows(*source_, target, reference_tables());
    status = missing ? copy_reference_rows(*source_, target, *missing) : Status(missing.error());
  }
  if (status) return target.execute("COMMIT");
  static_cast<void>(target.execute("ROLLBACK"));
  return status;
}

// What `public` of the node needs; empty: nothing.
std::string InitRunner::public_script(const std::string& node) const {
  const NodeWork& work = work_.at(node);
  const std::string& schema = config_.catalog.schema;
  if (work.needs_public)
    return node_record_ddl(schema) +
           fmt::format(
               "INSERT INTO {}.node_record (cluster_id, node) VALUES ({}, {}) ON CONFLICT DO NOTHING;\n",
               schema, routing::quote_literal(cluster_id_), routing::quote_literal(node)) +
           node_script(plan_, config_, node);
  if (work.public_step) return node_extension_script(plan_, config_, node, *work.public_step);
  return work.needs_public_grants ? node_grant_script(plan_, config_, node) : "";
}

Status InitRunner::apply_shards() {
  ShardWorkers workers;
  for (const NodeConfig* node : nodes_) {
    const NodeWork& work = work_.at(node->address.name);
    std::vector<ShardJob> jobs;
    for (const ShardId shard : work.create)
      jobs.push_back({shard, [this, shard] { return as_transaction(shard_script(plan_, config_, shard)); }});
    for (const auto [shard, step] : work.extend)
      jobs.push_back({shard, [this, shard = shard, step = step] {
                        return as_transaction(shard_extension_script(plan_, config_, shard, step));
                      }});
    for (const ShardId shard : work.grant)
      jobs.push_back({shard, [this, shard] { return as_transaction(shard_grant_script(config_, shard)); }});
    workers.add_node(node->address.name, admin_target(*node), std::move(jobs));
  }
  return workers.run(options_.jobs);
}

Status InitRunner::finish_nodes() {
  for (const NodeConfig* node : nodes_) {
    // Shards were committed asynchronously; one synchronous commit flushes the log up to and including them.
    Status status =
        connections_.at(node->address.name)
            .execute(fmt::format("SET synchronous_commit = on; UPDATE {}.node_record SET applied_at = now()",
                                 config_.catalog.schema));
    if (!status) return with_node(status, node->address.name);
  }
  return {};
}

Status InitRunner::take_into_use() {
  Connection& catalog = connections_.at(config_.catalog.node);
  const std::string& schema = config_.catalog.schema;
  std::string script = "BEGIN;\n" + catalog_nodes_ddl(schema) + catalog_moves_ddl(schema);
  std::set<std::string> names(nodes_in_use_.begin(), nodes_in_use_.end());
  for (const NodeConfig* node : nodes_) names.insert(node->address.name);
  for (const std::string& name : names)
    script += fmt::format("INSERT INTO {}.nodes (name) VALUES ({}) ON CONFLICT DO NOTHING;\n", schema,
                          routing::quote_literal(name));
  if (const std::string& user = config_.catalog.user;
      user != config_.find_node(config_.catalog.node)->admin_user)
    script += fmt::format("GRANT SELECT ON {0}.nodes, {0}.moves TO {1};\n", schema,
                          routing::quote_identifier(user));
  if (Status status = catalog.execute(script + "COMMIT;\n"); !status) return status;
  source_.reset();
  return {};
}

Status InitRunner::learn_tables() {
  for (const TableConfig& table : config_.tables) {
    const std::string& node = table.node.empty() ? config_.default_node : table.node;
    auto columns = read_table_columns(connections_.at(node), table, config_.shards.function);
    if (!columns) return columns.error();
    columns_.insert_or_assign(table.name, std::move(*columns));
  }
  Status status =
      connections_.at(config_.catalog.node)
          .execute(fmt::format("BEGIN;\n{}UPDATE {}.meta SET init_finished_at = coalesce(init_finished_at, "
                               "now());\nCOMMIT;\n",
                               table_rows(), config_.catalog.schema));
  if (!status) return status;
  options_.say(plan_.sharded_tables.empty()
                   ? fmt::format("done: {} nodes; no table is sharded, so there are no shards' schemas",
                                 config_.nodes.size())
                   : fmt::format("done: {} shards on {} nodes", config_.shards.count, config_.nodes.size()));
  return {};
}

}  // namespace mosaic::admin
