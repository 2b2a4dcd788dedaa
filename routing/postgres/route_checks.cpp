#include "routing/postgres/route_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "routing/postgres/sql/setting_rules.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

bool has_names_beyond_ascii(const CatalogSnapshot& catalog) {
  return std::any_of(catalog.tables().begin(), catalog.tables().end(), [](const Table& table) {
    return !is_ascii(table.name) || !is_ascii(table.key) || !is_ascii(table.id);
  });
}

bool is_name_beyond_ascii(const Token& token, std::string_view text) {
  return (token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedWord) &&
         !is_ascii(text.substr(token.begin, token.end - token.begin));
}

}  // namespace

std::optional<Error> find_encoding_error(const AnalyzedStatement& statement, ClientEncoding encoding,
                                         const CatalogSnapshot& catalog) {
  if (encoding == ClientEncoding::kSqlAscii || is_ascii(statement.text)) return std::nullopt;
  if (!is_safe(encoding)) {
    return Error{
        sqlstate::kFeatureNotSupported,
        fmt::format("a statement with characters beyond ASCII in client_encoding {}", name_of(encoding)),
        "Their second bytes may mean something else in SQL: Mosaic and the server would read different "
        "statements.",
        "SET client_encoding TO 'UTF8', or bind such values as parameters."};
  }
  if (!has_names_beyond_ascii(catalog)) return std::nullopt;
  const auto name = std::find_if(statement.tokens.begin(), statement.tokens.end(), [&](const Token& token) {
    return is_name_beyond_ascii(token, statement.text);
  });
  if (name == statement.tokens.end()) return std::nullopt;
  return Error{sqlstate::kFeatureNotSupported,
               fmt::format("a statement with a name beyond ASCII in client_encoding {}", name_of(encoding)),
               "Mosaic knows the names of sharded tables and of their keys in UTF8 only.",
               "SET client_encoding TO 'UTF8'."};
}

std::optional<Error> find_bound_value_error(const SettingChange& setting, const Parameters& parameters) {
  if (!has_value_rule(setting.name)) return std::nullopt;
  const auto value = parameters.find(setting.value_parameter->index);
  if (!value || value->is_null) return std::nullopt;  // NULL sets the default
  return find_value_error(setting.name, value->bytes);
}

Error unknown_prepared(const StatementPart& part) {
  return {sqlstate::kFeatureNotSupported,
          fmt::format("{} can not stand beside other statements in one query", part.prepare   ? "PREPARE"
                                                                               : part.execute ? "EXECUTE"
                                                                                              : "DEALLOCATE"),
          "", "Send it as a query of its own."};
}

}  // namespace mosaic::routing
