#include "admin/init/table_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "routing/postgres/sql/function_body.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::Result;

// is_generated, is_identity ('a'lways, by 'd'efault), is_counted: filled from a sequence.
constexpr const char* kColumns = R"sql(
SELECT a.attname, a.attgenerated <> '', a.attidentity,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') ~ '\mnextval\(', coalesce(NOT c.collisdeterministic, false), c.collname
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)sql";

// Unique indexes and exclusion constraints, with the columns by whose equality rows exclude each other, as a
// list of their own lines; an expression is not among them.
constexpr const char* kUnique = R"sql(
SELECT x.relname, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(x.oid)),
       coalesce((SELECT string_agg(a.attname, E'\n') FROM pg_attribute a
                 JOIN generate_subscripts(i.indkey, 1) at ON i.indkey[at] = a.attnum AND at < i.indnkeyatts
                 WHERE a.attrelid = i.indrelid AND (k.conexclop IS NULL OR (SELECT oprname FROM pg_operator WHERE oid = k.conexclop[at + 1]) = '=')), '')
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = to_regclass($1) AND (i.indisunique OR i.indisexclusion) ORDER BY 1)sql";

// Functions in readable languages and views, outside of the system's schemas and of Mosaic's own.
constexpr const char* kSources = R"sql(
SELECT 'function', p.proname, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1)
  AND n.nspname !~ $2 AND length(p.prosrc) <= 65536
UNION ALL
SELECT 'view', c.relname, pg_get_viewdef(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1) AND n.nspname !~ $2
ORDER BY 1, 2 LIMIT 10000)sql";

bool has_line(std::string_view lines, std::string_view line) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    if (lines.substr(0, end) == line) return true;
    if (end == std::string_view::npos) return false;
    lines.remove_prefix(end + 1);
  }
  return false;
}

void check_key(const Rows& rows, int row, const TableConfig& table, std::vector<std::string>& errors) {
  const auto add = [&](const std::string& what) {
    errors.push_back(fmt::format("tables.{}.key: column \"{}\" {}", table.name, table.key, what));
  };
  if (rows.text(row, 1) == "t")
    add("is GENERATED: its value is not in the INSERT that must be routed; shard by a column that it is made "
        "from");
  if (rows.text(row, 2) == "a")
    add("is GENERATED ALWAYS AS IDENTITY: the server would choose the key after the shard was chosen; make "
        "it a plain "
        "column that INSERTs give");
  if (rows.text(row, 4) == "t")
    add(fmt::format(
        "has the collation \"{}\", which is not deterministic: equal values may differ in their bytes, and "
        "shards are told by bytes; use a deterministic one",
        rows.text(row, 5)));
}

void check_id(const Rows& rows, int row, const TableConfig& table, std::vector<std::string>& errors) {
  if (rows.text(row, 1) != "t" && rows.text(row, 2).empty() && rows.text(row, 3) != "t") return;
  errors.push_back(
      fmt::format("tables.{}.id: column \"{}\" is filled by the server with values that do not carry their "
                  "shard; make it bigint "
                  "DEFAULT next_id()",
                  table.name, table.id));
}

void check_columns(const Rows& rows, const TableConfig& table, TableFindings& found) {
  for (int row = 0; row < rows.count(); ++row) {
    const std::string_view name = rows.text(row, 0);
    const bool is_id = !table.id.empty() && name == table.id;
    if (name == table.key) check_key(rows, row, table, found.errors);
    if (is_id) check_id(rows, row, table, found.errors);
    const bool is_counted = !rows.text(row, 2).empty() || rows.text(row, 3) == "t";
    if (!is_counted || is_id) continue;
    found.warnings.push_back(fmt::format(
        "table \"{}\": column \"{}\" is serial or identity: each shard counts by itself, so that the same "
        "value comes "
        "on several; for values that are unique over shards make it bigint DEFAULT next_id(){}",
        table.name, name,
        table.id.empty() ? fmt::format(" and add id = \"{}\" to [tables.{}]", name, table.name) : ""));
  }
}

void check_unique(const Rows& rows, const TableConfig& table, TableFindings& found) {
  std::set<std::string_view> unheard(table.unique_within_shard.begin(), table.unique_within_shard.end());
  for (int row = 0; row < rows.count(); ++row) {
    const bool is_agreed = unheard.erase(rows.text(row, 0)) > 0;
    // Rows with one key are on one shard; an ID is that of one row, whose shard it carries.
    const std::string_view columns = rows.text(row, 2);
    if (is_agreed || has_line(columns, table.key) || (!table.id.empty() && has_line(columns, table.id)))
      continue;
    found.errors.push_back(
        fmt::format("table \"{0}\": {1} (\"{2}\") can hold within each shard only; add \"{3}\" to it, or, if "
                    "that is enough, "
                    "unique_within_shard = [\"{2}\"] to [tables.{0}]",
                    table.name, rows.text(row, 1), rows.text(row, 0), table.key));
  }
  for (const std::string_view name : unheard)
    found.errors.push_back(
        fmt::format("tables.{}.unique_within_shard: the table has no unique index \"{}\"", table.name, name));
}

}  // namespace

Result<TableFindings> check_sharded_table(Connection& connection, const TableConfig& table) {
  const std::string name = "public." + routing::quote_identifier(table.name);
  TableFindings found;
  auto columns = connection.query(kColumns, {name});
  if (!columns) return columns.error();
  if (columns->count() == 0) return found;
  check_columns(*columns, table, found);
  auto unique = connection.query(kUnique, {name});
  if (!unique) return unique.error();
  check_unique(*unique, table, found);
  return found;
}

Result<std::vector<std::string>> find_blind_functions(Connection& connection, const Config& config) {
  std::vector<std::string> lines;
  auto rows = connection.query(
      kSources, {config.catalog.schema, fmt::format("^{}[0-9]+$", config.shards.schema_prefix)});
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row) {
    const auto words = routing::read_function_body(rows->text(row, 2)).words;
    for (const TableConfig& table : config.tables) {
      if (table.key.empty() || !std::binary_search(words.begin(), words.end(), table.name)) continue;
      lines.push_back(fmt::format(
          "{0} \"{1}\" names the sharded table \"{2}\": within it the name means public.{2}, the empty twin; "
          "run the "
          "statement through Mosaic instead, or, in a trigger, put TG_TABLE_SCHEMA before the name",
          rows->text(row, 0), rows->text(row, 1), table.name));
      break;
    }
  }
  return lines;
}

}  // namespace mosaic::admin
