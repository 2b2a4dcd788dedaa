#include "admin/init/table_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "routing/postgres/sql/relation_words.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::admin {

namespace {

using routing::Result;

// is_generated, is_identity ('a'lways, by 'd'efault), is_counted: filled from a sequence.
constexpr const char* kColumns = R"sql(
SELECT a.attname, a.attgenerated <> '', a.attidentity,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') ~ '\mnextval\(', coalesce(NOT c.collisdeterministic, false), c.collname,
       format_type(a.atttypid, NULL)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)sql";

// Unique indexes and exclusion constraints, with the columns by whose equality rows exclude each other, as a
// list of their own lines; an expression is not among them.
constexpr const char* kUnique = R"sql(
SELECT x.relname, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(x.oid)),
       coalesce((SELECT string_agg(a.attname, E'\n' ORDER BY at) FROM pg_attribute a
                 JOIN generate_subscripts(i.indkey, 1) at ON i.indkey[at] = a.attnum AND at < i.indnkeyatts
                 WHERE a.attrelid = i.indrelid AND (k.conexclop IS NULL OR (SELECT oprname FROM pg_operator WHERE oid = k.conexclop[at + 1]) = '=')), ''),
       i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
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

bool is_counted(const Rows& rows, int row) { return !rows.text(row, 2).empty() || rows.text(row, 3) == "t"; }

bool is_listed(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
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
        "it a plain column that INSERTs give");
  else if (is_counted(rows, row))
    add("is serial or identity: a shard would choose the key after the shard was chosen; make it a plain "
        "column that INSERTs give");
  if (rows.text(row, 4) == "t")
    add(fmt::format(
        "has the collation \"{}\", which is not deterministic: equal values may differ in their bytes, and "
        "shards are told by bytes; use a deterministic one",
        rows.text(row, 5)));
}

void check_id(const Rows& rows, int row, const TableConfig& table, std::vector<std::string>& errors) {
  if (rows.text(row, 1) != "t" && !is_counted(rows, row)) return;
  errors.push_back(
      fmt::format("tables.{}.id: column \"{}\" is filled by the server with values that do not carry their "
                  "shard; make it bigint "
                  "DEFAULT next_id()",
                  table.name, table.id));
}

void check_columns(const Rows& rows, const TableConfig& table, std::vector<std::string>& errors) {
  std::set<std::string_view> unheard(table.counted_within_shard.begin(), table.counted_within_shard.end());
  for (int row = 0; row < rows.count(); ++row) {
    const std::string_view name = rows.text(row, 0);
    const bool is_id = !table.id.empty() && name == table.id;
    const bool is_key = name == table.key;
    if (is_key) check_key(rows, row, table, errors);
    if (is_id) check_id(rows, row, table, errors);
    if (!is_counted(rows, row)) continue;
    if (unheard.erase(name) > 0 || is_id || is_key) continue;
    errors.push_back(fmt::format(
        "table \"{0}\": column \"{1}\" is serial or identity: each shard counts by itself, so that the same "
        "value comes on several; for values that are unique over shards make it bigint DEFAULT next_id(){2}, "
        "or, if "
        "it need not be unique, add counted_within_shard = [\"{1}\"] to [tables.{0}]",
        table.name, name,
        table.id.empty() ? fmt::format(" and add id = \"{}\" to [tables.{}]", name, table.name) : ""));
  }
  for (const std::string_view name : unheard)
    errors.push_back(
        fmt::format("tables.{}.counted_within_shard: the table has no serial or identity column \"{}\"",
                    table.name, name));
}

// "a, b": as an operator lists them.
std::string listed(std::string_view lines) {
  std::string text;
  for (const char c : lines) text += c == '\n' ? std::string(", ") : std::string(1, c);
  return text;
}

// The only column of the index, if it holds bigints: such as next_id() gives.
bool is_likely_id(const Rows& columns, std::string_view index_columns) {
  constexpr std::string_view kInt8 = "bigint";
  for (int row = 0; row < columns.count(); ++row) {
    if (columns.text(row, 0) == index_columns) return columns.text(row, 6) == kInt8;
  }
  return false;
}

void check_unique(const Rows& rows, const Rows& columns, const TableConfig& table,
                  std::vector<std::string>& errors) {
  std::set<std::string> unheard(table.unique_within_shard.begin(), table.unique_within_shard.end());
  for (int row = 0; row < rows.count(); ++row) {
    // Rows with one key are on one shard; an ID is that of one row, whose shard it carries.
    const std::string_view index_columns = rows.text(row, 2);
    const bool is_plain = rows.text(row, 3) != "t";  // no expression and no condition: its columns say it all
    bool is_agreed = false;
    for (const std::string& name : {std::string(rows.text(row, 0)), is_plain ? listed(index_columns) : ""}) {
      if (!is_listed(table.unique_within_shard, name)) continue;
      is_agreed = true;
      unheard.erase(name);
    }
    if (is_agreed || has_line(index_columns, table.key) ||
        (!table.id.empty() && has_line(index_columns, table.id)))
      continue;
    const bool could_be_id = table.id.empty() && is_likely_id(columns, index_columns);
    errors.push_back(fmt::format(
        "table \"{0}\": {1} (\"{2}\") can hold within each shard only; add \"{3}\" to it{4}, or, if that is "
        "enough, unique_within_shard = [\"{2}\"] to [tables.{0}]",
        table.name, rows.text(row, 1), rows.text(row, 0), table.key,
        could_be_id ? fmt::format(", or, if \"{0}\" is filled by next_id(), id = \"{0}\" to [tables.{1}]",
                                  index_columns, table.name)
                    : ""));
  }
  for (const std::string& name : unheard)
    errors.push_back(
        fmt::format("tables.{}.unique_within_shard: the table has no unique index \"{}\"", table.name, name));
}

}  // namespace

Result<std::vector<std::string>> check_sharded_table(Connection& connection, const TableConfig& table) {
  const std::string name = "public." + routing::quote_identifier(table.name);
  std::vector<std::string> errors;
  auto columns = connection.query(kColumns, {name});
  if (!columns) return columns.error();
  if (columns->count() == 0) return errors;
  check_columns(*columns, table, errors);
  auto unique = connection.query(kUnique, {name});
  if (!unique) return unique.error();
  check_unique(*unique, *columns, table, errors);
  return errors;
}

Result<std::vector<std::string>> find_blind_functions(Connection& connection, const Config& config) {
  std::vector<std::string> lines;
  auto rows = connection.query(
      kSources, {config.catalog.schema, fmt::format("^{}[0-9]+$", config.shards.schema_prefix)});
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row) {
    if (is_listed(config.may_name_sharded, rows->text(row, 1))) continue;
    const std::vector<std::string> relations = routing::find_relation_words(rows->text(row, 2));
    for (const TableConfig& table : config.tables) {
      if (table.key.empty() || !is_listed(relations, table.name)) continue;
      lines.push_back(fmt::format(
          "{0} \"{1}\" names the sharded table \"{2}\": within it the name means public.{2}, the empty twin; "
          "run "
          "the statement through Mosaic instead, or, in a trigger, EXECUTE format('... %I.{2} ...', "
          "TG_TABLE_SCHEMA), or, if that is meant, add \"{1}\" to may_name_sharded in [functions]",
          rows->text(row, 0), rows->text(row, 1), table.name));
      break;
    }
  }
  return lines;
}

}  // namespace mosaic::admin
