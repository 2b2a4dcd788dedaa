#include "admin/init/reference_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "admin/init/init_scripts.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::Status;

// What two nodes must have alike: how many rows, and a digest of them in any order. Nothing: no such table.
Result<std::optional<std::string>> contents_of(Connection& connection, const std::string& table) {
  auto is_there = connection.query("SELECT to_regclass($1) IS NOT NULL", {public_name(table)});
  if (!is_there) return is_there.error();
  if (is_there->text(0, 0) != "t") return std::optional<std::string>();
  auto digest = connection.query(fmt::format(
      "SELECT count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 16))::bit(64)::bigint), 0) FROM "
      "{} t",
      public_name(table)));
  if (!digest) return digest.error();
  if (digest->integer(0, 0) == 0) return std::optional<std::string>();
  return std::optional(fmt::format("{} rows, digest {}", digest->text(0, 0), digest->text(0, 1)));
}

// Tables that another refers to come before it; of a circle those that are named first.
Result<std::vector<std::string>> in_order_of_keys(Connection& connection, std::vector<std::string> tables) {
  auto keys = connection.query(
      "SELECT c.relname, r.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
      "JOIN pg_class r ON r.oid = k.confrelid WHERE k.contype = 'f' AND c.oid <> r.oid "
      "AND c.relnamespace = 'public'::regnamespace AND r.relnamespace = 'public'::regnamespace");
  if (!keys) return keys.error();
  std::multimap<std::string, std::string> refers_to;
  for (int row = 0; row < keys->count(); ++row) refers_to.emplace(keys->text(row, 0), keys->text(row, 1));
  std::vector<std::string> ordered;
  const auto is_waiting = [&](const std::string& table) {
    return std::find(tables.begin(), tables.end(), table) != tables.end();
  };
  while (!tables.empty()) {
    auto next = std::find_if(tables.begin(), tables.end(), [&](const std::string& table) {
      const auto [from, to] = refers_to.equal_range(table);
      return std::none_of(from, to, [&](const auto& key) { return is_waiting(key.second); });
    });
    if (next == tables.end()) next = tables.begin();
    ordered.push_back(*next);
    tables.erase(next);
  }
  return ordered;
}

// Where serial and identity columns have come to.
Status copy_counts(Connection& source, Connection& target, const std::string& table) {
  const char* kOwned =
      "SELECT pg_get_serial_sequence($1, attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum "
      "> 0 "
      "AND NOT attisdropped AND pg_get_serial_sequence($1, attname) IS NOT NULL ORDER BY attnum";
  auto from = source.query(kOwned, {public_name(table)});
  if (!from) return from.error();
  auto to = target.query(kOwned, {public_name(table)});
  if (!to) return to.error();
  for (int row = 0; row < std::min(from->count(), to->count()); ++row) {
    auto count = source.query(fmt::format("SELECT last_value, is_called FROM {}", from->text(row, 0)));
    if (!count) return count.error();
    auto set = target.query(
        "SELECT setval($1::regclass, $2::bigint, $3::boolean)",
        {std::string(to->text(row, 0)), std::string(count->text(0, 0)), std::string(count->text(0, 1))});
    if (!set) return set.error();
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> find_missing_rows(Connection& source, Connection& target,
                                                   const std::vector<std::string>& tables) {
  std::vector<std::string> missing;
  for (const std::string& table : tables) {
    const auto wanted = contents_of(source, table);
    if (!wanted) return wanted.error();
    const auto there = contents_of(target, table);
    if (!there) return there.error();
    if (*wanted == *there) continue;
    if (*there)
      return Error{routing::sqlstate::kConfigError,
                   fmt::format("reference table \"{}\" has other rows than the default node", table),
                   fmt::format("{} here, {} there", **there, wanted->value_or("none")),
                   fmt::format("TRUNCATE {} here, if they are not wanted: an empty table is filled",
                               public_name(table))};
    missing.push_back(table);
  }
  return in_order_of_keys(source, std::move(missing));
}

Status lock_reference_tables(Connection& source, const std::vector<std::string>& tables) {
  std::string script = set_lock_limit();
  for (const std::string& table : tables) {
    auto is_there = source.query("SELECT to_regclass($1) IS NOT NULL", {public_name(table)});
    if (!is_there) return is_there.error();
    if (is_there->text(0, 0) == "t")
      script += fmt::format("LOCK TABLE {} IN SHARE MODE;\n", public_name(table));
  }
  return source.execute(script);
}

Status copy_reference_rows(Connection& source, Connection& target, const std::vector<std::string>& tables) {
  auto role = target.query("SELECT rolsuper FROM pg_roles WHERE rolname = current_user");
  if (!role) return role.error();
  const bool is_superuser = role->count() > 0 && role->text(0, 0) == "t";
  std::string settings = "SET LOCAL row_security = off;\n";  // an error rather than less than all rows
  if (Status status = source.execute(settings); !status) return status;
  if (is_superuser) settings += "SET LOCAL session_replication_role = replica;\n";
  if (Status status = target.execute(settings); !status) return status;
  for (const std::string& table : tables) {
    auto columns = source.query(
        "SELECT coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') FROM pg_attribute WHERE "
        "attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        {public_name(table)});
    if (!columns) return columns.error();
    const std::string list(columns->text(0, 0));
    Status status =
        source.copy_rows(fmt::format("COPY (SELECT {} FROM {}) TO STDOUT", list, public_name(table)), target,
                         fmt::format("COPY {} ({}) FROM STDIN", public_name(table), list));
    if (status) status = copy_counts(source, target, table);
    if (!status) {
      Error error = status.error();
      error.message = fmt::format("copying the rows of {}: {}", table, error.message);
      return error;
    }
  }
  return {};
}

}  // namespace mosaic::admin
