#pragma once
// Where each statement of the schema file goes, by the tables in the config. Pure. Errors are told all at
// once, with the file's line numbers.

#include <optional>
#include <string>
#include <string_view>
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
  std::string node;   // kOneNode
  uint32_t step = 0;  // which run of init brought it; see continue_plan()
};

// What init applied in one run, in order.
struct AppliedStatement {
  std::string text;
  uint32_t step = 0;
};

struct SchemaPlan {
  std::vector<PlacedStatement> statements;  // in the order in which they are applied
  std::vector<std::string> sharded_tables;  // as the config lists them
  std::vector<std::string> reference_tables;
  std::vector<std::pair<std::string, std::string>> single_tables;  // table, node: pinned and default
  std::vector<std::string> default_tables;                         // tables that the config does not list
  std::vector<std::string> uncreated_tables;  // that the config lists and no statement creates
  // By step: of the statements up to it and of what init adds to them. A shard's or a node's record holds the
  // digest of the step that it has come to.
  std::vector<std::string> digests;

  const std::string& digest() const { return digests.back(); }
  uint32_t last_step() const { return static_cast<uint32_t>(digests.size() - 1); }
  // Nothing: of no step, so of another schema or another version of Mosaic.
  std::optional<uint32_t> step_of(std::string_view digest) const;
  // A statement of a step behind `step` creates it; of any step, where that is nothing.
  bool creates(const std::string& table, std::optional<uint32_t> behind) const;
};

// Fills `errors` instead of the plan where a statement cannot be placed.
SchemaPlan plan_schema(const std::vector<routing::SchemaStatement>& statements, const Config& config,
                       ConfigErrors& errors);

// Puts what earlier runs applied first, in their order, and the file's other statements behind it, as a step
// of their own. Returns lines for an operator about applied statements that the file lacks; then the plan is
// of no use.
std::vector<std::string> continue_plan(SchemaPlan& plan, const std::vector<AppliedStatement>& applied,
                                       const Config& config);

}  // namespace mosaic::admin
