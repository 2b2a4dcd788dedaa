#pragma once
// Where one statement goes, and why: a value. After a Route exists nobody reads the SQL again.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/catalog_snapshot.h"
#include "routing/ids.h"

namespace mosaic::routing {

struct Route {
  enum class Target : uint8_t {
    kShard,    // one shard's node; sharded names are qualified with its schema
    kNode,     // one node, nothing to qualify
    kAnyNode,  // every node answers alike; `node` is the one to prefer when nothing else decides
  };
  enum class Reason : uint8_t {
    kKey,          // the statement's own shard key
    kId,           // an ID that embeds the shard
    kCommentHint,  // /* mosaic shard=42 */ or /* mosaic user_id=1 */
    kSettingHint,  // SET mosaic.shard or SET mosaic.user_id
    kPinnedTable,
    kDefaultNode,
    kReferenceRead,
    kCatalogRead,  // pg_catalog, information_schema: the default node, or the node that the transaction is on
    kNoTable,
    kAgreedParts,  // a; b; c: all on this node
  };

  Target target = Target::kAnyNode;
  Reason reason = Reason::kNoTable;
  bool is_read = false;
  NodeId node;
  ShardId shard;                     // kShard (with several parts: the first sharded part's)
  std::vector<ShardId> part_shards;  // several parts only: the shard of each (0 where a part needs none)

  ShardId shard_of_part(size_t part) const { return part_shards.empty() ? shard : part_shards[part]; }
  // "shard 42 (shard_0042) on node pg2, by key user_id" - for EXPLAIN ROUTE and logs.
  std::string to_text(const CatalogSnapshot& catalog) const;
};

// What the client said beside the statement: SET mosaic.shard / SET mosaic.user_id, or a leading comment.
struct Hint {
  enum class Kind : uint8_t { kNone, kShard, kKey };
  Kind kind = Kind::kNone;
  std::string_view value;  // as written, without quotes; points into the text or the session's setting
};

std::string_view to_text(Route::Reason reason);

}  // namespace mosaic::routing
