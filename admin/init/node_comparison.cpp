#include "admin/init/node_comparison.h"

#include <fmt/format.h>

#include <map>

namespace mosaic::admin {

namespace {

using routing::Result;

using NodeFacts = std::map<std::string, std::string>;

constexpr const char* kFacts = R"sql(
SELECT name, setting FROM pg_settings WHERE name IN ('server_encoding', 'TimeZone', 'DateStyle', 'IntervalStyle',
  'lc_monetary', 'lc_numeric', 'lc_time', 'default_text_search_config', 'standard_conforming_strings', 'bytea_output',
  'extra_float_digits', 'search_path', 'default_transaction_isolation', 'default_transaction_read_only',
  'max_prepared_transactions', 'wal_level')
UNION ALL
SELECT 'the major version', (current_setting('server_version_num')::int / 10000)::text
UNION ALL
SELECT 'the locale of the database', datcollate || ' ' || datctype FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT format('%s of %s', split_part(setting, '=', 1),
              CASE WHEN s.setrole = 0 THEN 'the database' WHEN s.setdatabase = 0 THEN 'role ' || r.rolname
                   ELSE format('role %s in the database', r.rolname) END),
       substr(setting, strpos(setting, '=') + 1)
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
     LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
WHERE s.setdatabase = 0 OR d.datname = current_database()
UNION ALL
SELECT 'extension ' || extname, extversion FROM pg_extension
)sql";

Result<NodeFacts> facts_of(Connection& connection) {
  auto rows = connection.query(kFacts);
  if (!rows) return rows.error();
  NodeFacts facts;
  for (int row = 0; row < rows->count(); ++row) facts.emplace(rows->text(row, 0), rows->text(row, 1));
  return facts;
}

std::string or_not_there(const NodeFacts& facts, const std::string& name) {
  const auto at = facts.find(name);
  return at == facts.end() ? "not there" : at->second;
}

}  // namespace

Result<std::vector<std::string>> describe_differences(Connection& reference, Connection& node) {
  auto wanted = facts_of(reference);
  if (!wanted) return wanted.error();
  auto there = facts_of(node);
  if (!there) return there.error();
  NodeFacts all = *wanted;
  all.insert(there->begin(), there->end());
  std::vector<std::string> lines;
  for (const auto& [name, value] : all) {
    const std::string here = or_not_there(*there, name), expected = or_not_there(*wanted, name);
    if (here != expected)
      lines.push_back(fmt::format("{} is {}, on the default node {}", name, here, expected));
  }
  return lines;
}

}  // namespace mosaic::admin
