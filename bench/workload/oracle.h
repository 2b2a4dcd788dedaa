#pragma once
// What the application was told succeeded, and so must be found in the database: every row of the run with a
// digest of its values. Where a connection was lost with a write in flight both outcomes are allowed, and
// only those two. Each client keeps its own, without locks; they are merged before verification. Knows
// nothing of shards.

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mosaic::workload {

enum class Table : uint8_t { kUsers, kMedia, kLikes, kComments, kFollows };
inline constexpr Table kTables[] = {Table::kUsers, Table::kMedia, Table::kLikes, Table::kComments,
                                    Table::kFollows};
inline constexpr size_t kTableCount = std::size(kTables);
std::string_view to_text(Table table);

// A row's primary key; `second` is 0 in tables with one key column.
struct RowKey {
  int64_t first = 0;
  int64_t second = 0;
  bool operator==(const RowKey&) const = default;
};
struct RowKeyHash {
  size_t operator()(const RowKey& key) const;
};

// Digest of a row's compared columns, without its key: as sent by the writer, as read by the verifier.
uint64_t digest_of(int64_t user_id, std::initializer_list<std::string_view> values);

struct ExpectedRow {
  uint64_t digest = 0;
  uint64_t other_digest =
      0;  // what it may be instead, after an update with unknown outcome; else equal to digest
  bool may_be_absent = false;  // an insert or a delete with unknown outcome
};

// How often a user's counter was increased.
struct ExpectedCount {
  uint64_t certain = 0;
  uint64_t unknown = 0;
};

class Oracle {
 public:
  using Rows = std::unordered_map<RowKey, ExpectedRow, RowKeyHash>;

  void insert(Table table, RowKey key, uint64_t digest);
  void update(Table table, RowKey key, uint64_t digest);
  void remove(Table table, RowKey key);
  void increase(int64_t user_id) { ++counts_[user_id].certain; }

  // The same with an unknown outcome.
  void maybe_insert(Table table, RowKey key, uint64_t digest);
  // An insert whose key the server would have told.
  void maybe_insert_unidentified(Table table, uint64_t digest);
  void maybe_update(Table table, RowKey key, uint64_t digest);
  void maybe_remove(Table table, RowKey key);
  void maybe_increase(int64_t user_id) { ++counts_[user_id].unknown; }

  // Takes over another client's knowledge. Clients share rows only where all of them write the same values.
  void merge(Oracle&& other);

  const Rows& rows(Table table) const { return rows_[static_cast<size_t>(table)]; }
  // Digests of inserts with unknown outcome and key, with how often each was tried.
  const std::unordered_map<uint64_t, uint32_t>& unidentified(Table table) const {
    return unidentified_[static_cast<size_t>(table)];
  }
  ExpectedCount count_of(int64_t user_id) const;

 private:
  std::array<Rows, kTableCount> rows_;
  std::array<std::unordered_map<uint64_t, uint32_t>, kTableCount> unidentified_;
  std::unordered_map<int64_t, ExpectedCount> counts_;
};

}  // namespace mosaic::workload
