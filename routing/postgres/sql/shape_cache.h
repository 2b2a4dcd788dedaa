#pragma once
// Plans by statement shape: bounded by bytes, the least recently used goes first. A plan is found by its
// shape, or sooner, by a text spelled like the last one that found it. Owned by one Router, so one thread; a
// hit allocates nothing.

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/shape_use.h"
#include "routing/postgres/sql/spelling.h"
#include "routing/postgres/sql/statement_plan.h"

namespace mosaic::routing {

class ShapeCache {
 public:
  // What a text is looked up by: its shape, or - where the plan depends on the literals' values - the text
  // itself, under either reading. (Shapes tell the readings apart where it matters.)
  enum class KeyKind : uint8_t { kShape, kText, kOldText };
  static KeyKind text_kind(Reading reading) {
    return reading.standard_conforming_strings ? KeyKind::kText : KeyKind::kOldText;
  }

  struct Entry {
    std::string key;
    KeyKind key_kind = KeyKind::kShape;
    uint64_t hash = 0;
    StatementPlan plan;
    ShapeUseRef use;                   // of the statements that find it; null: not counted
    bool depends_on_literals = false;  // no plan here: look the text itself up
    uint64_t hits = 0;
    uint64_t parse_ns = 0;
    size_t bytes = 0;

   private:
    friend class ShapeCache;
    Spelling spelling;  // empty: none
    uint64_t spelling_hash = 0;
    std::unique_ptr<Entry> next_in_bucket;
    Entry* newer = nullptr;
    Entry* older = nullptr;
  };

  explicit ShapeCache(size_t bytes_max);
  ~ShapeCache();
  ShapeCache(const ShapeCache&) = delete;
  ShapeCache& operator=(const ShapeCache&) = delete;

  static uint64_t hash_of(KeyKind kind, std::string_view key);

  // The entry with exactly this key, marked as used; null: none. Valid until the next insert() or clear().
  Entry* find(KeyKind kind, std::string_view key, uint64_t hash);
  // Adds an entry for a key that find() missed and evicts the oldest until all fit. Null, and nothing
  // changed, when the entry alone would take more than an eighth of the limit (`plan` is left alone then).
  Entry* insert(KeyKind kind, std::string_view key, uint64_t hash, StatementPlan&& plan,
                bool depends_on_literals, uint64_t parse_ns, ShapeUseRef use = {});
  // The entry of this shape that was found last, when `text` is spelled like the text that found it: marked
  // as used, with `tokens` and `hint` of the text. Null: none, find() may know more.
  Entry* find_by_spelling(std::string_view text, Reading reading, std::vector<Token>& tokens, Hint& hint);
  // What find() or insert() gave for a text, for find_by_spelling(). May evict others.
  void keep_spelling(Entry& entry, std::string_view text, Reading reading, std::span<const Token> tokens,
                     const Hint& hint);
  void clear();
  // Evicts until what is held fits.
  void set_bytes_max(size_t bytes_max);

  size_t size() const { return size_; }
  size_t bytes() const { return bytes_; }
  size_t bytes_max() const { return bytes_max_; }
  uint64_t evictions() const { return evictions_; }

  template <typename Each>
  void for_each(Each&& each) const {
    for (const Entry* entry = newest_; entry != nullptr; entry = entry->older) each(*entry);
  }

 private:
  std::unique_ptr<Entry>& bucket_of(uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }
  Entry*& guess_of(uint64_t spelling_hash) { return guesses_[spelling_hash % guesses_.size()]; }
  void mark_as_used(Entry* entry);
  void link_as_newest(Entry* entry);
  void unlink(Entry* entry);
  void evict_oldest();
  void grow();

  size_t bytes_max_;
  std::vector<std::unique_ptr<Entry>> buckets_;  // a power of two of them
  std::array<Entry*, 1024> guesses_{};           // by the beginning of its spelling; proves nothing
  Entry* newest_ = nullptr;
  Entry* oldest_ = nullptr;
  size_t size_ = 0;
  size_t bytes_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace mosaic::routing
