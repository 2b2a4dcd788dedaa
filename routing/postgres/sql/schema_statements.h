#pragma once
// Reads a schema file: plain SQL with unqualified names, split into statements, each told what it is about.
// Decides nothing about nodes or shards: `mosaic init` does, from the tables in the config. Pure; uses
// libpg_query.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "routing/result.h"

namespace mosaic::routing {

struct SchemaStatement {
  enum class Kind : uint8_t {
    kStructure,   // of one table: CREATE TABLE, CREATE INDEX, ALTER TABLE, COMMENT ON ...
    kBehaviour,   // of one table: CREATE TRIGGER, CREATE POLICY, GRANT ...
    kRows,        // INSERT into one table
    kView,        // CREATE VIEW: where it goes depends on `relations`
    kEverywhere,  // of no table: CREATE TYPE, DOMAIN, EXTENSION, FUNCTION ...
    kRefused,     // has no place in a schema file; `refusal` says why
  };
  Kind kind = Kind::kRefused;
  std::string text;                    // without surrounding white space, comments and semicolon
  uint32_t line = 1;                   // of its first word
  std::string subject;                 // the relation that it belongs to (of a partition: its parent)
  std::string created;                 // the relation that it makes, if any
  std::string dropped;                 // the index that it drops, if any
  std::vector<std::string> relations;  // all relations that it names, without duplicates
  bool is_create_table = false;
  std::string refusal;
};

// Errors: what the parser says, with the line.
Result<std::vector<SchemaStatement>> read_schema(std::string_view text);

}  // namespace mosaic::routing
