#include "routing/postgres/sql/shape_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

namespace mosaic::routing {

namespace {
constexpr size_t kBucketsMin = 64;
}

ShapeCache::ShapeCache(size_t bytes_max) : bytes_max_(bytes_max), buckets_(kBucketsMin) {}

ShapeCache::~ShapeCache() = default;

uint64_t ShapeCache::hash_of(KeyKind kind, std::string_view key) {
  const uint64_t hash = XXH3_64bits(key.data(), key.size());
  switch (kind) {
    case KeyKind::kShape:
      return hash;
    case KeyKind::kText:
      return ~hash;
    case KeyKind::kOldText:
      return hash * 3;
  }
  return hash;
}

ShapeCache::Entry* ShapeCache::find(KeyKind kind, std::string_view key, uint64_t hash) {
  for (Entry* entry = bucket_of(hash).get(); entry != nullptr; entry = entry->next_in_bucket.get()) {
    // Equal hashes prove nothing: a wrong plan would be a wrong shard.
    if (entry->hash != hash || entry->key_kind != kind || entry->key != key) continue;
    mark_as_used(entry);
    return entry;
  }
  return nullptr;
}

ShapeCache::Entry* ShapeCache::find_by_spelling(std::string_view text, Reading reading,
                                                std::vector<Token>& tokens, Hint& hint) {
  Entry* entry = guess_of(Spelling::hash_of_beginning(text));
  if (entry == nullptr || !entry->spelling.matches(text, reading, tokens, hint)) return nullptr;
  mark_as_used(entry);
  return entry;
}

void ShapeCache::keep_spelling(Entry& entry, std::string_view text, Reading reading,
                               std::span<const Token> tokens, const Hint& hint) {
  if (text.size() > Spelling::kTextBytesMax) return;
  const uint64_t hash = Spelling::hash_of_beginning(text);
  if (guess_of(entry.spelling_hash) == &entry) guess_of(entry.spelling_hash) = nullptr;
  entry.spelling_hash = hash;
  guess_of(hash) = &entry;
  const size_t bytes_before = entry.spelling.bytes();
  entry.spelling.assign(text, reading, tokens, hint);
  const size_t more = entry.spelling.bytes() - bytes_before;
  entry.bytes += more;
  bytes_ += more;
  while (bytes_ > bytes_max_ && oldest_ != &entry) evict_oldest();
}

void ShapeCache::mark_as_used(Entry* entry) {
  ++entry->hits;
  if (entry == newest_) return;
  unlink(entry);
  link_as_newest(entry);
}

ShapeCache::Entry* ShapeCache::insert(KeyKind kind, std::string_view key, uint64_t hash, StatementPlan&& plan,
                                      bool depends_on_literals, uint64_t parse_ns, ShapeUseRef use) {
  const size_t bytes = sizeof(Entry) + sizeof(void*) + key.size() + plan.bytes() + (use ? use->bytes() : 0);
  if (bytes > bytes_max_ / 8) return nullptr;
  auto owned = std::make_unique<Entry>();
  owned->key = key;
  owned->key_kind = kind;
  owned->hash = hash;
  owned->plan = std::move(plan);
  owned->use = std::move(use);
  owned->depends_on_literals = depends_on_literals;
  owned->parse_ns = parse_ns;
  owned->bytes = bytes;
  while (bytes_ + owned->bytes > bytes_max_) evict_oldest();
  if (size_ >= buckets_.size()) grow();
  Entry* entry = owned.get();
  entry->next_in_bucket = std::move(bucket_of(hash));
  bucket_of(hash) = std::move(owned);
  link_as_newest(entry);
  ++size_;
  bytes_ += entry->bytes;
  return entry;
}

void ShapeCache::clear() {
  buckets_.clear();
  buckets_.resize(kBucketsMin);
  guesses_.fill(nullptr);
  newest_ = oldest_ = nullptr;
  size_ = bytes_ = 0;
}

void ShapeCache::set_bytes_max(size_t bytes_max) {
  bytes_max_ = bytes_max;
  while (bytes_ > bytes_max_) evict_oldest();
}

void ShapeCache::link_as_newest(Entry* entry) {
  entry->newer = nullptr;
  entry->older = newest_;
  if (newest_ != nullptr) newest_->newer = entry;
  newest_ = entry;
  if (oldest_ == nullptr) oldest_ = entry;
}

void ShapeCache::unlink(Entry* entry) {
  (entry->newer != nullptr ? entry->newer->older : newest_) = entry->older;
  (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
}

void ShapeCache::evict_oldest() {
  Entry* entry = oldest_;
  unlink(entry);
  if (guess_of(entry->spelling_hash) == entry) guess_of(entry->spelling_hash) = nullptr;
  bytes_ -= entry->bytes;
  --size_;
  ++evictions_;
  std::unique_ptr<Entry>* link = &bucket_of(entry->hash);
  while (link->get() != entry) link = &(*link)->next_in_bucket;
  std::unique_ptr<Entry> gone = std::move(*link);
  *link = std::move(gone->next_in_bucket);
}

void ShapeCache::grow() {
  std::vector<std::unique_ptr<Entry>> old(buckets_.size() * 2);
  old.swap(buckets_);
  for (std::unique_ptr<Entry>& first : old) {
    while (first != nullptr) {
      std::unique_ptr<Entry> entry = std::move(first);
      first = std::move(entry->next_in_bucket);
      std::unique_ptr<Entry>& bucket = bucket_of(entry->hash);
      entry->next_in_bucket = std::move(bucket);
      bucket = std::move(entry);
    }
  }
}

}  // namespace mosaic::routing
