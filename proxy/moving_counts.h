#pragma once
// What moves have cost clients, by shard: counted by the sessions of a worker and by its gate, since start.

#include <cstdint>
#include <map>

namespace mosaic::proxy {

struct MovingCounts {
  uint64_t held = 0;      // statements that have waited for a shard that moves
  uint64_t replayed = 0;  // refused by a node that their shard has left, and sent where it is
  uint64_t refused =
      0;  // told an error for it: too many waited, it took too long, or nothing could be sent again
  uint64_t prepared = 0;    // statements that its new node's connections were given before their use
  uint64_t longest_us = 0;  // wait of one, of those that have waited last

  MovingCounts& operator+=(const MovingCounts& other) {
    held += other.held;
    replayed += other.replayed;
    refused += other.refused;
    prepared += other.prepared;
    if (other.longest_us > longest_us) longest_us = other.longest_us;
    return *this;
  }
  // Since `before`.
  MovingCounts operator-(const MovingCounts& before) const {
    return {held - before.held, replayed - before.replayed, refused - before.refused,
            prepared - before.prepared, held > before.held ? longest_us : 0};
  }
  bool operator==(const MovingCounts&) const = default;
};

using MovingCountsByShard = std::map<uint32_t, MovingCounts>;

}  // namespace mosaic::proxy
