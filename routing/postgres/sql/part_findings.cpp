#include "routing/postgres/sql/part_findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "routing/postgres/function_classes.h"
#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/known_functions.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

// Above this, propagating terms could take long; no statement written by a person or an ORM comes near.
constexpr size_t kUsesMax = 1000;

bool is_shard_schema(std::string_view schema, std::string_view prefix) {
  return schema.size() > prefix.size() && schema.starts_with(prefix) &&
         schema.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
}

std::string_view last_name(NodeList names) {
  return names.is_empty() ? std::string_view() : string_of(names[names.size() - 1]);
}

// set_config(name, value, true)
bool is_transaction_local(const PgQuery__FuncCall& call) {
  const Node* local = call.n_args == 3 ? call.args[2] : nullptr;
  if (const auto* cast = as_cast(local)) local = cast->arg;
  const auto* constant = as_constant(local);
  return constant != nullptr && constant->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL &&
         constant->boolval->boolval;
}

}  // namespace

std::string identifier_behind_schema(std::string_view name) {
  // Behind "schema." the grammar takes every keyword as a name, so that only the characters matter.
  const bool is_plain =
      !name.empty() && (name.front() == '_' || (name.front() >= 'a' && name.front() <= 'z')) &&
      std::all_of(name.begin(), name.end(),
                  [](char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
  if (is_plain) return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

PartFindings::TableClass PartFindings::classify(const PgQuery__RangeVar& name) const {
  const std::string_view schema = name.schemaname;
  const std::string_view table = name.relname;
  if (schema.empty() || schema == "public") {
    if (source_.find_listed(schema, table) >= 0) return TableClass::kListed;
    return schema.empty() && table.starts_with("pg_") ? TableClass::kCatalog : TableClass::kDefault;
  }
  if (schema == "pg_catalog" || schema == "information_schema" || schema == "pg_toast")
    return TableClass::kCatalog;
  if (schema == "pg_temp" || schema.starts_with("pg_temp_")) return TableClass::kTemporary;
  if (is_shard_schema(schema, catalog().schema_prefix())) return TableClass::kShardSchema;
  return TableClass::kDefault;
}

int PartFindings::add_table(const PgQuery__RangeVar& name, Access access) {
  if (access == Access::kWrite) {
    has_writes_ = true;
    written_tables_.emplace_back(name.relname);
  }
  add_traces(access == Access::kWrite ? catalog().functions().traces_of_write(name.relname)
                                      : catalog().functions().traces_of_read(name.relname));
  switch (classify(name)) {
    case TableClass::kListed: {
      const size_t uses_before = part_.uses.size();
      add_listed_table(catalog().find_table(name.relname), name, access);
      return part_.uses.size() > uses_before ? static_cast<int>(uses_before) : -1;
    }
    case TableClass::kCatalog:
      has_catalog_ = true;
      // Its rule calls set_config(..., false): src/backend/catalog/system_views.sql.
      if (access == Access::kWrite && std::string_view(name.relname) == "pg_settings") add_untold_setting();
      break;
    case TableClass::kTemporary:
      part_.pins.add(Pin::kTemporary);
      if (default_table_.empty()) default_table_ = name.relname;
      break;
    case TableClass::kDefault:
      if (default_table_.empty()) default_table_ = name.relname;
      break;
    case TableClass::kShardSchema:
      refuse({sqlstate::kFeatureNotSupported,
              fmt::format("\"{}.{}\" names a shard's schema", name.schemaname, name.relname),
              "Mosaic picks the schema from the shard key; shards move between nodes.",
              fmt::format("Write \"{}\" without a schema and give its shard key, or say the shard: "
                          "/* mosaic shard=42 */.",
                          name.relname)});
      break;
  }
  return -1;
}

void PartFindings::add_listed_table(int table, const PgQuery__RangeVar& name, Access access) {
  const Table& listed = catalog().tables()[static_cast<size_t>(table)];
  switch (listed.kind) {
    case TableKind::kSharded: {
      if (part_.uses.size() >= kUsesMax) {
        refuse({sqlstate::kLimitExceeded,
                fmt::format("the statement names sharded tables more than {} times", kUsesMax), "",
                "Split the statement."});
        return;
      }
      TableUse use;
      use.table = static_cast<uint16_t>(table);
      use.is_written = access == Access::kWrite;
      part_.uses.push_back(std::move(use));
      const size_t part_count = 1 + (*name.schemaname != '\0') + (*name.catalogname != '\0');
      add_splice(name.location, part_count, listed.name);
      break;
    }
    case TableKind::kReference:
      has_reference_ = true;
      if (access == Access::kWrite && reference_written_.empty()) reference_written_ = listed.name;
      break;
    case TableKind::kPinned:
      pinned_tables_.push_back(table);
      break;
  }
}

void PartFindings::add_splice(int32_t location, size_t part_count, std::string_view name) {
  const int token = source_.find_token(location);
  if (token < 0) {
    // A name that we can not find can not be qualified, and would reach the wrong table.
    refuse({sqlstate::kFeatureNotSupported,
            fmt::format("the name \"{}\" can not be located in the statement", name), "",
            "Write the table's name where the grammar expects it, in plain form."});
    return;
  }
  part_.splices.push_back({static_cast<uint32_t>(token), static_cast<uint32_t>(2 * part_count - 1),
                           identifier_behind_schema(name)});
}

void PartFindings::add_function(const PgQuery__FuncCall& call) {
  const NodeList names = MOSAIC_NODES(call, funcname);
  const std::string_view name = last_name(names);
  const std::string_view schema = names.size() > 1 ? string_of(names[names.size() - 2]) : std::string_view();
  if (name == "next_id" && (schema.empty() || schema == "public")) {
    calls_next_id_ = true;
    has_writes_ = true;
    add_traces({Trace::kSequences});
    add_splice(call.location, names.size(), name);
    return;
  }
  add_call(name, schema, call);
}

void PartFindings::add_call(std::string_view name, std::string_view schema, const PgQuery__FuncCall& call) {
  const bool is_ours_to_know = schema.empty() || schema == "pg_catalog";
  const FunctionTrait trait = is_ours_to_know ? find_function_trait(name) : FunctionTrait::kUnknown;
  const bool is_own_setting = trait == FunctionTrait::kSetting && is_transaction_local(call);
  // Alone in a SELECT it is a SET (session_statements.cpp); anywhere else what it has set is asked for by
  // name.
  const auto* setting =
      trait == FunctionTrait::kSetting && call.n_args == 3 ? as_constant(call.args[0]) : nullptr;
  const bool is_named = setting != nullptr && setting->val_case == PG_QUERY__A__CONST__VAL_SVAL;
  if (!is_own_setting && !is_named) add_traces(catalog().functions().traces_of_call(name, schema));
  switch (trait) {
    case FunctionTrait::kPlain:
      break;
    case FunctionTrait::kCatalog:
      has_catalog_ = true;
      break;
    case FunctionTrait::kSessionLock:
      part_.pins.add(Pin::kSessionLock);
      has_unknown_function_ = true;
      break;
    case FunctionTrait::kSessionUnlock:
      has_session_unlock_ = true;
      part_.may_release_pins = true;
      break;
    case FunctionTrait::kSetting:
      has_unknown_function_ = true;
      if (is_own_setting) break;
      if (is_named) {
        source_.mark_literal_read();
        part_.untold_settings.push_back(to_lower(setting->sval->sval));
      } else {
        add_untold_setting();
      }
      break;
    case FunctionTrait::kEffect:
    case FunctionTrait::kSequence:
    case FunctionTrait::kSequenceRead:
    case FunctionTrait::kUnknown:
      has_unknown_function_ = true;
      break;
  }
}

void PartFindings::add_untold_setting() {
  part_.pins.add(Pin::kSetting);
  part_.traces.add(Trace::kUnknown);
}

void PartFindings::add_name_behind_dot(std::string_view name) {
  // A function of one row is called as a.b as well (manual, Using Composite Types in Queries).
  if (catalog().functions().has_function(name)) add_traces(catalog().functions().traces_of_call(name, ""));
}

void PartFindings::add_operator(NodeList name) {
  const std::string_view symbol = last_name(name);
  if (catalog().functions().has_function(symbol))
    add_traces(catalog().functions().traces_of_call(symbol, ""));
}

void PartFindings::add_traces(Traces traces) { part_.traces.add(traces); }

void PartFindings::add_cast(const PgQuery__TypeName& type) {
  const std::string_view name = last_name(MOSAIC_NODES(type, names));
  if (name.starts_with("reg")) has_catalog_ = true;
  // A domain's checks, and casts that are functions of a user's.
  if (catalog().functions().has_function(name)) add_traces(catalog().functions().traces_of_call(name, ""));
}

void PartFindings::add_term(int use, KeyTerm term) {
  std::vector<KeyTerm>& terms = part_.uses[static_cast<size_t>(use)].terms;
  if (std::find(terms.begin(), terms.end(), term) == terms.end()) terms.push_back(std::move(term));
}

void PartFindings::refuse(Error error) {
  if (!part_.refusal) part_.refusal = std::move(error);
}

void PartFindings::propagate_terms() {
  bool has_changed = true;
  while (has_changed) {
    has_changed = false;
    for (const auto& [from, to] : edges_) {
      if (from == to) continue;
      const std::vector<KeyTerm> terms = part_.uses[static_cast<size_t>(from)].terms;
      const size_t before = part_.uses[static_cast<size_t>(to)].terms.size();
      for (KeyTerm term : terms) {
        term.is_every = false;
        add_term(to, std::move(term));
      }
      has_changed |= part_.uses[static_cast<size_t>(to)].terms.size() != before;
    }
  }
  for (size_t i = 1; i < part_.uses.size(); ++i) {
    TableUse& use = part_.uses[i];
    use.repeats = !use.terms.empty() && use.checks.empty() &&
                  std::any_of(part_.uses.begin(), part_.uses.begin() + static_cast<ptrdiff_t>(i),
                              [&](const TableUse& earlier) { return earlier.terms == use.terms; });
  }
}

void PartFindings::finish() {
  propagate_terms();
  std::sort(part_.splices.begin(), part_.splices.end(),
            [](const Splice& a, const Splice& b) { return a.token < b.token; });
  part_.is_read = !has_writes_ && !has_locks_ && !has_unknown_function_ && !has_session_unlock_;
  part_.may_release_pins |= part_.may_leave_traces();
  place();
}

void PartFindings::place() {
  if (!reference_written_.empty()) {
    part_.one_node_only =
        Error{sqlstate::kManyNodes,
              fmt::format("\"{}\" is a reference table: a write would have to reach every node",
                          reference_written_),
              "Writes over several nodes are not supported.",
              fmt::format("Change \"{}\" on each node directly, in the same way.", reference_written_)};
  }
  if (needs_shard()) return place_sharded();
  if (!pinned_tables_.empty()) return place_pinned();
  if (!default_table_.empty()) {
    part_.placement = Placement::kDefault;
    return;
  }
  if (part_.one_node_only) {
    part_.placement = Placement::kAllNodes;
    return;
  }
  if (has_unknown_function_ || has_locks_) {
    // Locks on a reference table's rows exclude each other only when all are taken on one node.
    part_.placement = Placement::kDefault;
    part_.follows_hint = has_unknown_function_ && !has_reference_;
    return;
  }
  part_.is_free = part_.is_read;
  if (has_catalog_) {
    // Any node could answer, but OIDs differ: what a client reads from one node it must find again.
    part_.placement = Placement::kDefault;
  } else {
    part_.placement = has_reference_ ? Placement::kReference : Placement::kAnywhere;
  }
}

void PartFindings::place_sharded() {
  part_.placement = Placement::kSharded;
  const std::string sharded = part_.uses.empty() ? "next_id()" : fmt::format("\"{}\"", table_of(0).name);
  if (!pinned_tables_.empty()) {
    const Table& pinned = catalog().tables()[static_cast<size_t>(pinned_tables_.front())];
    refuse({sqlstate::kManyNodes,
            fmt::format("{} is sharded and \"{}\" is pinned to node {}: one statement can not use both",
                        sharded, pinned.name, catalog().node_name(pinned.node)),
            "", "Use two statements, or declare the small table as a reference table."});
  }
  if (!default_table_.empty()) {
    refuse({sqlstate::kManyNodes,
            fmt::format("{} is sharded and \"{}\" lives on the default node: one statement can not use both",
                        sharded, default_table_),
            fmt::format("\"{}\" is not listed under tables in the config.", default_table_),
            "Use two statements, or list the table as sharded or as a reference table."});
  }
}

void PartFindings::place_pinned() {
  const auto node_of = [&](int table) { return catalog().tables()[static_cast<size_t>(table)].node; };
  const int first = pinned_tables_.front();
  part_.placement = Placement::kPinned;
  part_.pinned_table = static_cast<uint16_t>(first);
  part_.uses_default_node = !default_table_.empty();
  for (const int table : pinned_tables_) {
    if (node_of(table) == node_of(first)) continue;
    const Table& one = catalog().tables()[static_cast<size_t>(first)];
    const Table& other = catalog().tables()[static_cast<size_t>(table)];
    refuse({sqlstate::kManyNodes,
            fmt::format("\"{}\" is pinned to node {} and \"{}\" to node {}: one statement can not use both",
                        one.name, catalog().node_name(one.node), other.name, catalog().node_name(other.node)),
            "", "Use two statements, or pin both tables to one node."});
  }
}

}  // namespace mosaic::routing
