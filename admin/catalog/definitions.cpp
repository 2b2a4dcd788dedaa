#include "admin/catalog/definitions.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "admin/catalog/catalog_store.h"
#include "admin/catalog/definition_queries.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Definition;
using routing::Error;
using routing::Result;
using routing::Status;

// Extensions of PostgreSQL's contrib, and pgvector, whose functions compute and leave nothing in the session.
// Not among them: dblink, postgres_fdw (connections), tablefunc (runs text), pg_trgm and isn (set_limit(),
// isn_weak(); a session's setting), plpython and the like.
constexpr const char* kCleanExtensions[] = {
    "btree_gin", "btree_gist", "citext",   "cube", "earthdistance", "fuzzystrmatch", "hstore",
    "intarray",  "ltree",      "pgcrypto", "seg",  "unaccent",      "uuid-ossp",     "vector"};
// Those of the others that do not touch it.
constexpr const char* kCleanFunctions[] = {"similarity",  "word_similarity", "strict_word_similarity",
                                           "show_trgm",   "autoinc",         "insert_username",
                                           "moddatetime", "lo_manage"};

// {"a","b"}: text[] in its text form.
std::string array_text(const auto& items) {
  std::string text = "{";
  for (const std::string_view item : items) {
    text += text.size() == 1 ? "\"" : ",\"";
    for (const char c : item) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + '}';
}

std::string shard_pattern(const CatalogState& state) {
  // The prefix is a plain identifier (config_checks.cpp).
  return fmt::format("^{}[0-9]+$", state.layout.schema_prefix);
}

// The first shard that lives on the node: its tables have the triggers that the twins in `public` lack.
std::string sample_schema(const std::string& node, const CatalogState& state) {
  const auto at = std::find(state.shard_nodes.begin(), state.shard_nodes.end(), node);
  if (at == state.shard_nodes.end()) return "";
  return routing::shard_schema_name(state.layout.schema_prefix,
                                    routing::ShardId{static_cast<uint32_t>(at - state.shard_nodes.begin())},
                                    state.layout.shard_count);
}

// The default node has functions, views and unlisted tables; pinned tables have their triggers at home only.
std::vector<std::string> nodes_to_read(const CatalogState& state) {
  std::set<std::string> nodes = {state.layout.default_node};
  for (const CatalogTable& table : state.tables) {
    if (table.kind == routing::TableKind::kPinned) nodes.insert(table.node);
  }
  const auto has_shard = [&](const std::string& node) { return !sample_schema(node, state).empty(); };
  if (!state.shard_nodes.empty() && std::none_of(nodes.begin(), nodes.end(), has_shard))
    nodes.insert(state.shard_nodes.front());
  return {nodes.begin(), nodes.end()};
}

Definition::Kind kind_of(std::string_view kind) {
  return kind == "r"   ? Definition::Kind::kRelationRead
         : kind == "w" ? Definition::Kind::kRelationWrite
                       : Definition::Kind::kFunction;
}

std::vector<std::string> names_of(std::string_view list) {
  return list == "[]" ? std::vector<std::string>()
                      : nlohmann::json::parse(list).get<std::vector<std::string>>();
}

uint64_t digest_of(const Rows& rows) {
  std::string flat;
  for (int row = 0; row < rows.count(); ++row) {
    for (int column = 0; column < 6; ++column) (flat += rows.text(row, column)) += '\x1f';
  }
  return XXH3_64bits(flat.data(), flat.size());
}

Error with_node(Error error, const std::string& node) {
  error.message = fmt::format("what is defined on node {} can not be read: {}", node, error.message);
  return error;
}

}  // namespace

bool Definitions::is_same(const Definitions& other) const {
  const auto fingerprint = [](const auto& classes) { return classes ? classes->fingerprint() : 0; };
  return fingerprint(functions) == fingerprint(other.functions) && namesakes == other.namesakes &&
         search_paths == other.search_paths;
}

DefinitionReader::DefinitionReader(const Config& config, const StopSignal* stop)
    : config_(config), stop_(stop) {}

Result<Definitions> DefinitionReader::read(const CatalogState& state) {
  const std::vector<std::string> nodes = nodes_to_read(state);
  auto definitions = read_nodes(nodes, state);
  // A connection that failed once is made anew by the next call.
  if (!definitions) connections_.clear();
  return definitions;
}

Result<Connection*> DefinitionReader::connect(const std::string& node) {
  const auto known = connections_.find(node);
  if (known != connections_.end()) return &known->second;
  const NodeConfig* config = config_.find_node(node);
  if (config == nullptr)
    return Error{routing::sqlstate::kConfigError, "the configuration does not list it", "",
                 fmt::format("add a section [nodes.{}]", node)};
  ConnectionTarget target = catalog_target(config_);
  target.host = config->address.host;
  target.port = config->address.port;
  target.dbname = config->address.dbname;
  const std::chrono::milliseconds limit(config_.catalog.connect_timeout_ms);
  auto connection = Connection::open(target, {.connect = limit, .query = limit, .stop = stop_});
  if (!connection) return connection.error();
  return &connections_.emplace(node, std::move(*connection)).first->second;
}

Result<Definitions> DefinitionReader::read_nodes(const std::vector<std::string>& nodes,
                                                 const CatalogState& state) {
  Definitions definitions;
  std::string digests;
  for (const std::string& node : nodes) {
    auto connection = connect(node);
    if (!connection) return with_node(connection.error(), node);
    // One picture, in which names are PostgreSQL's own; compiling the plan would take longer than running it.
    // What somebody is changing is read when he is done: a reader that waited for a lock, with others in its
    // hands, could be half of a deadlock, and long before one is looked for (deadlock_timeout) it gives way.
    Status status = (*connection)
                        ->execute(
                            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                            "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off; "
                            "SET LOCAL lock_timeout = '100ms'");
    if (status) status = read_node(node, state);
    if (status && node == state.layout.default_node) status = read_names(**connection, state, definitions);
    if (!status) return with_node(status.error(), node);
    if (Status ended = (*connection)->execute("ROLLBACK"); !ended) return with_node(ended.error(), node);
    digests += fmt::format("{} {}\n", node, rows_[node].digest);
  }
  if (const uint64_t digest = XXH3_64bits(digests.data(), digests.size());
      functions_ == nullptr || digest != digest_) {
    std::vector<Definition> all;
    for (const std::string& node : nodes)
      all.insert(all.end(), rows_[node].definitions.begin(), rows_[node].definitions.end());
    functions_ = std::make_shared<const routing::FunctionClasses>(
        all, rows_[state.layout.default_node].plain_builtins);
    digest_ = digest;
  }
  definitions.functions = functions_;
  return definitions;
}

Status DefinitionReader::read_node(const std::string& node, const CatalogState& state) {
  std::vector<std::string> functions(std::begin(kCleanFunctions), std::end(kCleanFunctions));
  functions.insert(functions.end(), config_.clean_functions.begin(), config_.clean_functions.end());
  std::vector<std::string> extensions(std::begin(kCleanExtensions), std::end(kCleanExtensions));
  extensions.insert(extensions.end(), config_.clean_extensions.begin(), config_.clean_extensions.end());
  auto rows = connections_.at(node).query(
      std::string(definitions_sql()),
      {shard_pattern(state), sample_schema(node, state), array_text(functions), array_text(extensions)});
  if (!rows) return rows.error();
  if (rows->count() > kDefinitionRowsMax)
    return Error{routing::sqlstate::kLimitExceeded,
                 fmt::format("there are more than {} functions, triggers and defaults", kDefinitionRowsMax),
                 "Every statement is taken to leave something in its session.", ""};
  NodeRows& known = rows_[node];
  const uint64_t digest = digest_of(*rows);
  if (digest == known.digest) return {};
  NodeRows read;
  read.digest = digest;
  for (int row = 0; row < rows->count(); ++row) {
    if (rows->text(row, 0) == "b") {
      read.plain_builtins.emplace_back(rows->text(row, 1));
      continue;
    }
    read.definitions.push_back({kind_of(rows->text(row, 0)), std::string(rows->text(row, 1)),
                                std::string(rows->text(row, 2)), names_of(rows->text(row, 3)),
                                names_of(rows->text(row, 4)), rows->text(row, 5) == "t"});
  }
  known = std::move(read);
  return {};
}

Status DefinitionReader::read_names(Connection& connection, const CatalogState& state,
                                    Definitions& definitions) {
  std::vector<std::string> tables;
  for (const CatalogTable& table : state.tables) tables.push_back(table.name);
  auto rows = connection.query(std::string(namesakes_sql()), {shard_pattern(state), array_text(tables)});
  if (!rows) return rows.error();
  for (int row = 0; row < rows->count(); ++row)
    definitions.namesakes[std::string(rows->text(row, 0))].emplace_back(rows->text(row, 1));
  if (definitions.namesakes.empty()) return {};
  auto paths = connection.query(std::string(search_paths_sql()));
  if (!paths) return paths.error();
  for (int row = 0; row < paths->count(); ++row)
    definitions.search_paths.emplace(paths->text(row, 0), paths->text(row, 1));  // the first one counts
  return {};
}

Definitions read_definitions_once(const Config& config, const CatalogState& state) {
  auto definitions = DefinitionReader(config, nullptr).read(state);
  if (definitions) return std::move(*definitions);
  spdlog::warn("catalog: {}", definitions.error().to_line());
  return {};
}

}  // namespace mosaic::admin
