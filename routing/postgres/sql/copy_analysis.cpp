// COPY: which table, in which format, and where in each row the shard key stands.

#include <fmt/format.h>

#include "routing/postgres/sql/query_analysis.h"
#include "routing/postgres/sql/statement_analysis.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

std::string_view text_of_option(const PgQuery__DefElem& option) { return string_of(option.arg); }

bool is_on(const PgQuery__DefElem& option) {
  if (option.arg == nullptr) return true;
  if (option.arg->node_case == PG_QUERY__NODE__NODE_INTEGER) return option.arg->integer->ival != 0;
  if (option.arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN) return option.arg->boolean->boolval;
  const std::string_view word = text_of_option(option);
  return word != "off" && word != "false";
}

void read_format(NodeList options, CopyTarget& target) {
  for (const Node* item : options) {
    const auto* option = as_option(item);
    if (option == nullptr || std::string_view(option->defname) != "format") continue;
    const std::string_view format = text_of_option(*option);
    if (format == "csv") {
      target.format = CopyTarget::Format::kCsv;
      target.delimiter = ',';
      target.null_text.clear();
    } else if (format == "binary") {
      target.format = CopyTarget::Format::kBinary;
    }
  }
}

void read_options(NodeList options, StatementSource& source, CopyTarget& target) {
  if (!options.is_empty()) source.mark_literal_read();
  read_format(options, target);  // first: it decides the other options' defaults
  bool has_escape = false;
  for (const Node* item : options) {
    const auto* option = as_option(item);
    if (option == nullptr) continue;
    const std::string_view name = option->defname;
    const std::string_view text = text_of_option(*option);
    if (name == "delimiter" && !text.empty()) target.delimiter = text.front();
    if (name == "null") target.null_text = text;
    if (name == "quote" && !text.empty()) target.quote = text.front();
    if (name == "escape" && !text.empty()) {
      target.escape = text.front();
      has_escape = true;
    }
    if (name == "header") target.has_header = is_on(*option);
    if (name == "encoding") target.encoding = find_client_encoding(text);
  }
  if (!has_escape) target.escape = target.quote;
  // Binary values are in the client's encoding whatever the option says (textrecv).
  if (target.format == CopyTarget::Format::kBinary) target.encoding.reset();
}

void read_columns(NodeList names, const Table& table, CopyTarget& target) {
  if (names.is_empty()) {
    target.column_count = static_cast<int>(table.columns.size());
    target.key_column = table.find_column(table.key);
    return;
  }
  target.column_count = static_cast<int>(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (table.key == string_of(names[i])) target.key_column = static_cast<int>(i);
  }
}

Error missing_key_column(const Table& table, bool has_column_list) {
  return {
      sqlstate::kNoShardKey,
      has_column_list
          ? fmt::format("COPY into \"{}\" without its shard key \"{}\"", table.name, table.key)
          : fmt::format("COPY into \"{}\" without a column list: Mosaic does not know which column is \"{}\"",
                        table.name, table.key),
      "",
      fmt::format("Name the columns, \"{}\" among them: COPY {} ({}, ...), or say the shard: "
                  "/* mosaic {}=123 */.",
                  table.key, table.name, table.key, table.key)};
}

}  // namespace

bool analyze_copy(const PgQuery__CopyStmt& copy, StatementSource& source, StatementPart& part) {
  const bool is_stream = *copy.filename == '\0' && !copy.is_program;
  part.kind = copy.is_from ? StatementKind::kCopyIn : StatementKind::kCopyOut;
  CopyTarget target;
  read_options(MOSAIC_NODES(copy, options), source, target);
  PartFindings findings(source, part);
  QueryAnalysis analysis(findings, copy.base);
  if (copy.relation != nullptr) {
    Scope scope(nullptr, nullptr);
    const int use = analysis.add_table(*copy.relation, copy.is_from ? Access::kWrite : Access::kRead, scope);
    analysis.add_where(copy.where_clause, scope);
    if (use >= 0) {
      const Table& table = findings.table_of(use);
      target.is_sharded = true;
      target.key_type = table.key_type;
      target.table = part.uses[static_cast<size_t>(use)].table;
      read_columns(MOSAIC_NODES(copy, attlist), table, target);
      // COPY FROM ... WHERE filters rows after they were sent: it tells nothing about the others.
      part.uses[static_cast<size_t>(use)].terms.clear();
      if (copy.is_from && target.key_column < 0) {
        part.uses[static_cast<size_t>(use)].unbound = missing_key_column(table, copy.n_attlist > 0);
      }
    }
  } else {
    analysis.analyze(copy.query, nullptr, nullptr);
  }
  if (!is_stream) {
    part.kind = StatementKind::kUtility;
    findings.add_write();
    if (findings.needs_shard()) {
      findings.refuse({sqlstate::kFeatureNotSupported, "COPY with a file or program of the server",
                       "The node that holds a shard changes when the shard moves.",
                       "Use COPY ... FROM STDIN or TO STDOUT, or psql's \\copy."});
    }
  } else {
    part.copy = std::move(target);
  }
  findings.finish();
  part.is_free = false;
  return true;
}

}  // namespace mosaic::routing
