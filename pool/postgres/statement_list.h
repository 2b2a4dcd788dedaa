#pragma once
// The prepared statements that one server session holds; what was not used for long goes first. A statement
// costs the backend about 9 kB, hence the limit (`max_prepared_statements`).

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "routing/ids.h"

namespace mosaic::pool {

// One statement on one shard: its text there names the shard's schema, so it is another statement on another
// shard; and another one when it was parsed under other settings.
struct StatementKey {
  uint64_t statement = 0;       // unique in the process
  uint32_t shard_plus_one = 0;  // 0: the statement names no shard
  uint32_t context = 0;         // of its settings; 0: the server's defaults
  bool operator==(const StatementKey&) const = default;
};

struct StatementKeyHash {
  size_t operator()(const StatementKey& key) const {
    const uint64_t mixed = (key.statement * 0x9e3779b97f4a7c15ull) ^
                           ((uint64_t{key.context} << 32 | key.shard_plus_one) * 0xd6e8feb86659fd93ull);
    return static_cast<size_t>(mixed ^ (mixed >> 32));
  }
};

// The name under which a server session knows the statement. Holds its own characters: made for every Bind.
class ServerStatementName {
 public:
  explicit ServerStatementName(const StatementKey& key);
  std::string_view view() const { return {text_, size_}; }

 private:
  char text_[48];
  size_t size_;
};

class StatementList {
 public:
  // True, and marked as used, when the server has it.
  bool touch(const StatementKey& key);
  bool contains(const StatementKey& key) const { return find_slot(key).has_value(); }
  void insert(const StatementKey& key);
  void erase(const StatementKey& key);
  // Takes one that was not used for long out when there are `limit` or more.
  std::optional<StatementKey> evict(size_t limit);
  void clear();
  // In no order.
  std::vector<StatementKey> of_shard(routing::ShardId shard) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    StatementKey key;
    bool was_used = false;  // since the hand came by
  };
  std::optional<size_t> find_slot(const StatementKey& key) const;
  void free_slot(size_t slot);
  void grow();
  size_t home_of(const StatementKey& key) const { return StatementKeyHash()(key) & (slots_.size() - 1); }

  // Two flat arrays, so that the usual question touches two cache lines: a list and a map of nodes made it
  // six, for each of the many (statement, shard) pairs of each of many servers.
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // open addressing: position in entries_ plus one, 0: free
  size_t hand_ = 0;              // of the clock (Corbato 1968): least recently used, nearly, in constant time
};

}  // namespace mosaic::pool
