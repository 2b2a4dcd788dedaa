#pragma once
// The values behind a KeySource: literals read from the statement's text, parameters from the Bind message,
// arrays element by element. Allocates nothing for plain values.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/catalog_snapshot.h"
#include "routing/postgres/client_encoding.h"
#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/token.h"
#include "routing/postgres/wire/parameters.h"
#include "routing/result.h"

namespace mosaic::routing {

// What values are read from; all of it outlives the evaluation.
struct KeyInput {
  std::string_view text;
  std::span<const Token> tokens;
  const Parameters& parameters;
  const CatalogSnapshot& catalog;
  Reading reading;          // of the text
  ClientEncoding encoding;  // of the text and the parameters
};

// The shards of a term's values, as far as routing needs them.
struct TermShards {
  std::optional<ShardId>
      first;  // of the first value that has a shard; none: no row can match (NULL, foreign IDs)
  std::optional<ShardId> second;  // another one: the term spans several shards
  bool has_null = false;
  bool has_foreign_id = false;  // an ID that can not have come from next_id()
};

// A value that becomes the key of a row of `table`, as COPY brings it: in text form, or in the binary form of
// the column's type; text is in UTF8. Errors: kUnusableKey.
Result<KeyValue> read_assigned_key(const Table& table, bool is_binary, std::string_view bytes);

// Errors: kUnusableKey, kInvalidParameter, 22P05.
Result<TermShards> evaluate_term(const KeyTerm& term, const KeyInput& input);

// Whether one of the term's values is on `shard`. Errors as above.
Result<bool> has_shard(const KeyTerm& term, ShardId shard, const KeyInput& input);

// All shards of the term's values, each once, in ascending order. Errors as above.
Result<std::vector<ShardId>> all_shards(const KeyTerm& term, const KeyInput& input);

// "5 is on shard 3, 6 on shard 9, ..." for messages.
std::string describe_values(const KeyTerm& term, const KeyInput& input);

}  // namespace mosaic::routing
