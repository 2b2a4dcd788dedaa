#include "admin/init/rehearsal.h"

#include <fmt/format.h>

#include "admin/catalog/catalog_schema.h"
#include "admin/init/init_scripts.h"
#include "admin/init/table_checks.h"
#include "admin/init/table_columns.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Status;

bool is_read_from(const TableConfig& table, const std::string& node, const Config& config) {
  return (table.node.empty() ? config.default_node : table.node) == node;
}

// All errors of a table at once.
Status take_findings(Connection& connection, const TableConfig& table, std::vector<std::string>& warnings) {
  auto found = check_sharded_table(connection, table);
  if (!found) return found.error();
  warnings.insert(warnings.end(), found->warnings.begin(), found->warnings.end());
  if (found->errors.empty()) return {};
  return routing::Error{routing::sqlstate::kConfigError,
                        fmt::format("table \"{}\" can not be sharded like this", table.name),
                        fmt::format("{}", fmt::join(found->errors, "; ")), ""};
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

Status do_everything(Connection& connection, const Config& config, const SchemaPlan& plan,
                     const std::string& node, std::optional<routing::ShardId> sample,
                     std::vector<std::string>& warnings) {
  const std::string& schema = config.catalog.schema;
  std::string script = "BEGIN;\n" + node_record_ddl(schema);
  script += fmt::format(
      "INSERT INTO {}.node_record (cluster_id, node) VALUES (gen_random_uuid(), {}) ON CONFLICT DO "
      "NOTHING;\n",
      schema, routing::quote_literal(node));
  script += node_script(plan, config, node);
  if (sample) script += shard_script(plan, config, *sample);
  if (Status status = connection.execute(script); !status) return status;
  if (Status status = check_encoding(connection, config); !status) return status;
  for (const TableConfig& table : config.tables) {
    if (!is_read_from(table, node, config)) continue;
    const auto columns = read_table_columns(connection, table, config.shards.function);
    if (!columns) return columns.error();
    if (table.key.empty()) continue;
    if (Status status = take_findings(connection, table, warnings); !status) return status;
  }
  if (node != config.default_node) return {};
  const auto blind = find_blind_functions(connection, config);
  if (!blind) return blind.error();
  warnings.insert(warnings.end(), blind->begin(), blind->end());
  return {};
}

}  // namespace

Status rehearse(Connection& connection, const Config& config, const SchemaPlan& plan, const std::string& node,
                std::optional<routing::ShardId> sample, std::vector<std::string>& warnings) {
  Status status = do_everything(connection, config, plan, node, sample, warnings);
  Status undone = connection.execute("ROLLBACK");
  return status ? undone : status;
}

}  // namespace mosaic::admin
