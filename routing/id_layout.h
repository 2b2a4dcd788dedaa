#pragma once
// 64-bit row IDs that carry their shard: (milliseconds since epoch) << (shard_bits + sequence_bits)
// | shard << sequence_bits | sequence. The default is Instagram's 41/13/10 ("Sharding & IDs at Instagram",
// 2012).

#include <cstdint>
#include <optional>

#include "routing/ids.h"

namespace mosaic::routing {

struct IdLayout {
  uint32_t shard_bits = 13;
  uint32_t sequence_bits = 10;
  int64_t epoch_ms = 1314220021721;  // Unix milliseconds at which IDs start counting

  // The shard an ID carries; nothing when the value can not have come from next_id() (negative, or no such
  // shard).
  std::optional<ShardId> shard_of(int64_t id, uint32_t shard_count) const {
    if (id < 0) return std::nullopt;
    const uint64_t shard = (static_cast<uint64_t>(id) >> sequence_bits) & ((uint64_t{1} << shard_bits) - 1);
    if (shard >= shard_count) return std::nullopt;
    return ShardId{static_cast<uint32_t>(shard)};
  }
};

}  // namespace mosaic::routing
