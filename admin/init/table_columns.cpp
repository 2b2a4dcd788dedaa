#include "admin/init/table_columns.h"

#include <fmt/format.h>

#include <optional>

#include "admin/init/init_error.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::KeyType;

constexpr int64_t kInt8Oid = 20;  // pg_type.dat

// The kind of key that a column of this type can be; nothing for types that shards can not be told from.
std::optional<KeyType> key_type_of(int64_t type_oid) {
  switch (type_oid) {  // pg_type.dat
    case kInt8Oid:
    case 21:
    case 23:
      return KeyType::kInt8;
    case 25:
    case 1042:
    case 1043:
      return KeyType::kText;
    case 2950:
      return KeyType::kUuid;
    default:
      return std::nullopt;
  }
}

Error no_column(const TableConfig& table, const char* role, const std::string& column) {
  return init_error(fmt::format("tables.{}.{}: the table has no column \"{}\"", table.name, role, column), "",
                    "name a column that the schema file gives the table");
}

}  // namespace

routing::Result<TableColumns> read_table_columns(Connection& connection, const TableConfig& table,
                                                 routing::ShardFunction function) {
  auto rows = connection.query(
      "SELECT attname, atttypid::bigint, format_type(atttypid, atttypmod), atttypmod FROM pg_attribute WHERE "
      "attnum > 0 "
      "AND NOT attisdropped AND attrelid = to_regclass($1) ORDER BY attnum",
      {"public." + routing::quote_identifier(table.name)});
  if (!rows) return rows.error();
  TableColumns found;
  bool has_key = false, has_id = false;
  for (int row = 0; row < rows->count(); ++row) {
    const std::string name(rows->text(row, 0));
    const int64_t type = rows->integer(row, 1);
    found.columns.push_back({name, static_cast<uint32_t>(type), static_cast<int32_t>(rows->integer(row, 3))});
    if (name == table.key) {
      has_key = true;
      const auto key_type = key_type_of(type);
      const bool is_modulo = function == routing::ShardFunction::kModulo;
      if (!key_type || (is_modulo && *key_type != KeyType::kInt8))
        return init_error(
            fmt::format("tables.{}.key: column \"{}\" has type {}", table.name, name, rows->text(row, 2)),
            is_modulo ? "shards.function = \"modulo\" takes smallint, integer and bigint"
                      : "a shard key is smallint, integer, bigint, text, varchar, char or uuid",
            "choose another key column");
      found.key_type = *key_type;
    }
    if (name == table.id) {
      has_id = true;
      if (type != kInt8Oid)
        return init_error(fmt::format("tables.{}.id: column \"{}\" has type {}, expected bigint", table.name,
                                      name, rows->text(row, 2)),
                          "an ID that carries its shard has 64 bits", "make the column a bigint");
    }
  }
  if (!table.key.empty() && !has_key) return no_column(table, "key", table.key);
  if (!table.id.empty() && !has_id) return no_column(table, "id", table.id);
  return found;
}

}  // namespace mosaic::admin
