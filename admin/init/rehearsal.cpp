#include "admin/init/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/catalog/catalog_schema.h"
#include "admin/init/init_scripts.h"
#include "admin/init/table_checks.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Status;

bool is_read_from(const TableConfig& table, const std::string& node, const Config& config) {
  return (table.node.empty() ? config.default_node : table.node) == node;
}

Status add_lines(const routing::Result<std::vector<std::string>>& found, std::vector<std::string>& lines) {
  if (!found) return found.error();
  lines.insert(lines.end(), found->begin(), found->end());
  return {};
}

// A text key is hashed in UTF8, which the proxy converts to from what a client sends: a database in another
// encoding keeps other bytes, or (SQL_ASCII) whatever bytes each client sent. The tables are there.
Status check_encoding(Connection& connection, const Config& config) {
  auto encoding = connection.query(
      "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()");
  if (!encoding) return encoding.error();
  const std::string name(encoding->text(0, 0));
  if (name == "UTF8") return {};
  for (const TableConfig& table : config.tables) {
    if (table.key.empty()) continue;
    auto key = connection.query(
        "SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE a.attrelid = to_regclass('public.' || quote_ident($1)) AND a.attname = $2 AND t.typcategory = "
        "'S'",
        {table.name, table.key});
    if (!key) return key.error();
    if (key->count() == 0) continue;
    return routing::Error{
        routing::sqlstate::kConfigError,
        fmt::format("the database has the encoding {}, but table \"{}\" has the text key \"{}\"", name,
                    table.name, table.key),
        "text keys are hashed in UTF8, so that a row is found whatever the client's encoding",
        fmt::format("create the database anew: createdb -E UTF8 -T template0 {}", config.proxy.database)};
  }
  return {};
}

// A table that no statement creates must be there already, or everything else fails for a reason that says
// less.
Status check_adopted(Connection& connection, const Config& config, const SchemaPlan& plan,
                     const std::string& node) {
  for (const std::string& name : plan.uncreated_tables) {
    const auto table = std::find_if(config.tables.begin(), config.tables.end(),
                                    [&](const TableConfig& listed) { return listed.name == name; });
    if (!table->is_reference && table->node != node) continue;
    auto found = connection.query("SELECT to_regclass('public.' || quote_ident($1)) IS NOT NULL", {name});
    if (!found) return found.error();
    if (found->text(0, 0) == "t") continue;
    return routing::Error{
        routing::sqlstate::kConfigError,
        fmt::format("[tables.{0}] is in the configuration, but there is no table public.{0}", name), "",
        "create it, or give --schema FILE, with CREATE TABLE in the file"};
  }
  return {};
}

std::string script_of(const Config& config, const SchemaPlan& plan, const std::string& node,
                      const RehearsedWork& work) {
  const std::string& schema = config.catalog.schema;
  std::string script;
  if (work.is_new) {
    script += node_record_ddl(schema);
    script += fmt::format(
        "INSERT INTO {}.node_record (cluster_id, node) VALUES (gen_random_uuid(), {}) ON CONFLICT DO "
        "NOTHING;\n",
        schema, routing::quote_literal(node));
    script += node_script(plan, config, node);
  }
  if (work.public_step) script += node_extension_script(plan, config, node, *work.public_step);
  if (work.new_shard) script += shard_script(plan, config, *work.new_shard);
  if (work.old_shard) script += shard_extension_script(plan, config, *work.old_shard, work.shard_step);
  return script;
}

Status do_everything(Connection& connection, const Config& config, const SchemaPlan& plan,
                     const std::string& node, const RehearsedWork& work,
                     std::map<std::string, TableColumns>& known_columns) {
  if (Status status = check_adopted(connection, config, plan, node); !status) return status;
  if (Status status = connection.execute("BEGIN;\n" + set_lock_limit() + script_of(config, plan, node, work));
      !status)
    return status;
  if (Status status = check_encoding(connection, config); !status) return status;
  std::vector<std::string> errors;
  for (const TableConfig& table : config.tables) {
    if (!is_read_from(table, node, config)) continue;
    auto columns = read_table_columns(connection, table, config.shards.function);
    if (!columns) return columns.error();
    known_columns.insert_or_assign(table.name, std::move(*columns));
    if (table.key.empty()) continue;
    if (Status status = add_lines(check_sharded_table(connection, table), errors); !status) return status;
  }
  if (node == config.default_node) {
    if (Status status = add_lines(find_blind_functions(connection, config), errors); !status) return status;
  }
  if (errors.empty()) return {};
  return routing::Error{routing::sqlstate::kConfigError,
                        fmt::format("what would not hold over shards:\n  {}", fmt::join(errors, "\n  ")), "",
                        ""};
}

}  // namespace

Status rehearse(Connection& connection, const Config& config, const SchemaPlan& plan, const std::string& node,
                const RehearsedWork& work, std::map<std::string, TableColumns>& columns) {
  Status status = do_everything(connection, config, plan, node, work, columns);
  Status undone = connection.execute("ROLLBACK");
  return status ? undone : status;
}

}  // namespace mosaic::admin
