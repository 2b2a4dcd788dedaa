#pragma once
// Why a statement could not be routed, and what to write instead. Built only when a statement is refused.

#include "routing/postgres/key_evaluation.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/result.h"

namespace mosaic::routing {

// Nothing in the statement tells where the rows of `use` are.
Error no_shard_key(const StatementPart& part, const TableUse& use, const CatalogSnapshot& catalog);
// next_id() without anything else that tells the shard.
Error no_shard_for_next_id(const CatalogSnapshot& catalog);
// The values of one term are on several shards.
Error many_shards(const TableUse& use, const KeyTerm& term, const KeyInput& input);
// Two tables of the statement are on different shards.
Error shards_differ(const TableUse& one, ShardId one_shard, const TableUse& other, ShardId other_shard,
                    const CatalogSnapshot& catalog);
// A write whose own conditions contradict each other, or the hint.
Error key_conflict(const TableUse& use, ShardId one, ShardId other, const CatalogSnapshot& catalog);
Error hint_conflict(const TableUse& use, ShardId own, ShardId hinted, const CatalogSnapshot& catalog);
// A value that a write would give to a row on `shard` belongs to another one.
Error value_elsewhere(const TableUse& use, const KeyTerm& check, ShardId shard, const KeyInput& input);
Error null_value(const TableUse& use, const KeyTerm& term, const CatalogSnapshot& catalog);
Error foreign_id(const TableUse& use, const CatalogSnapshot& catalog);
Error pinned_elsewhere(const StatementPart& part, const CatalogSnapshot& catalog);
Error parts_differ(size_t one, NodeId one_node, size_t other, NodeId other_node,
                   const CatalogSnapshot& catalog);

}  // namespace mosaic::routing
