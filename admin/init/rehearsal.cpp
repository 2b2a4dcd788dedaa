#include "admin/init/rehearsal.h"

#include <fmt/format.h>

#include "admin/catalog/catalog_schema.h"
#include "admin/init/init_scripts.h"
#include "admin/init/table_columns.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::Status;

bool is_read_from(const TableConfig& table, const std::string& node, const Config& config) {
  return (table.node.empty() ? config.default_node : table.node) == node;
}

Status do_everything(Connection& connection, const Config& config, const SchemaPlan& plan,
                     const std::string& node, std::optional<routing::ShardId> sample) {
  const std::string& schema = config.catalog.schema;
  std::string script = "BEGIN;\n" + node_record_ddl(schema);
  script += fmt::format(
      "INSERT INTO {}.node_record (cluster_id, node) VALUES (gen_random_uuid(), {}) ON CONFLICT DO "
      "NOTHING;\n",
      schema, routing::quote_literal(node));
  script += node_script(plan, config, node);
  if (sample) script += shard_script(plan, config, *sample);
  if (Status status = connection.execute(script); !status) return status;
  for (const TableConfig& table : config.tables) {
    if (!is_read_from(table, node, config)) continue;
    const auto columns = read_table_columns(connection, table, config.shards.function);
    if (!columns) return columns.error();
  }
  return {};
}

}  // namespace

Status rehearse(Connection& connection, const Config& config, const SchemaPlan& plan, const std::string& node,
                std::optional<routing::ShardId> sample) {
  Status status = do_everything(connection, config, plan, node, sample);
  Status undone = connection.execute("ROLLBACK");
  return status ? undone : status;
}

}  // namespace mosaic::admin
