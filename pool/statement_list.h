#pragma once
// The prepared statements that one server session holds, least recently used first out. A statement costs the
// backend about 9 kB, hence the limit (`max_prepared_statements`).

#include <cstdint>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "routing/ids.h"

namespace mosaic::pool {

// One statement on one shard: its text there names the shard's schema, so it is another statement on another
// shard.
struct StatementKey {
  uint64_t statement = 0;       // unique in the process
  uint32_t shard_plus_one = 0;  // 0: the statement names no shard
  bool operator==(const StatementKey&) const = default;
};

struct StatementKeyHash {
  size_t operator()(const StatementKey& key) const {
    return static_cast<size_t>((key.statement * 0x9e3779b97f4a7c15ull) ^
                               (uint64_t{key.shard_plus_one} << 32));
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
  // True, and most recently used now, when the server has it.
  bool touch(const StatementKey& key);
  bool contains(const StatementKey& key) const { return index_.count(key) > 0; }
  void insert(const StatementKey& key);
  void erase(const StatementKey& key);
  // Takes the least recently used one out when there are `limit` or more.
  std::optional<StatementKey> evict(size_t limit);
  void clear();
  size_t size() const { return index_.size(); }

 private:
  std::list<StatementKey> order_;  // front: most recently used
  std::unordered_map<StatementKey, std::list<StatementKey>::iterator, StatementKeyHash> index_;
};

}  // namespace mosaic::pool
