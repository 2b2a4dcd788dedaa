#pragma once
// Where each statement of the schema file goes, by the tables in the config. Pure. Errors are told all at
// once, with the file's line numbers.

#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/config/config_error.h"
#include "routing/postgres/sql/schema_statements.h"

namespace mosaic::admin {

enum class Place : uint8_t {
  kShards,     // in every shard's schema; structure also in `public` of every node, for the twins
  kEveryNode,  // in `public` of every node
  kOneNode,    // in `public` of `node`
};

struct PlacedStatement {
  routing::SchemaStatement statement;
  Place place = Place::kEveryNode;
  std::string node;  // kOneNode
};

struct SchemaPlan {
  std::vector<PlacedStatement> statements;  // in the file's order
  std::vector<std::string> sharded_tables;  // as the config lists them
  std::vector<std::string> reference_tables;
  std::vector<std::pair<std::string, std::string>> single_tables;  // table, node: pinned and default
  std::vector<std::string> default_tables;                         // tables that the config does not list
  std::string digest;  // of all statements and of what init adds to them
};

// Fills `errors` instead of the plan where a statement cannot be placed.
SchemaPlan plan_schema(const std::vector<routing::SchemaStatement>& statements, const Config& config,
                       ConfigErrors& errors);

// The statements of which two schema files differ, as lines for an operator; empty: the same.
std::vector<std::string> schema_differences(const std::vector<std::string>& applied, const SchemaPlan& plan);

}  // namespace mosaic::admin
