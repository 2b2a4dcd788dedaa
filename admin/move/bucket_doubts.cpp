#include "admin/move/bucket_doubts.h"

#include <algorithm>
#include <set>

namespace mosaic::admin {

namespace {

constexpr int kLooks = 4;

}  // namespace

Doubts doubts_of(const Buckets& before, const Buckets& there, const Buckets& after, const Doubts& earlier) {
  const auto value = [](const Buckets& buckets, int64_t bucket) {
    const auto at = buckets.find(bucket);
    return at == buckets.end() ? std::string() : at->second;
  };
  std::set<int64_t> all;
  for (const Buckets* side : {&before, &there, &after}) {
    for (const auto& [bucket, ignored] : *side) all.insert(bucket);
  }
  Doubts doubts;
  for (const int64_t bucket : all) {
    const std::string a = value(before, bucket), b = value(there, bucket), c = value(after, bucket);
    if (b == a || b == c) continue;
    Doubt& doubt = doubts[bucket];
    if (a != c) continue;
    doubt = {a, b, 1};
    const auto at = earlier.find(bucket);
    if (at != earlier.end() && at->second.source == a && at->second.target == b)
      doubt.looks += at->second.looks;
  }
  return doubts;
}

bool is_too_busy(const Doubts& doubts, const Doubts& earlier) {
  const bool any_stands_still =
      std::any_of(doubts.begin(), doubts.end(), [](const auto& entry) { return entry.second.looks > 0; });
  return !any_stands_still && doubts.size() * 10 > earlier.size() * 9;
}

size_t count_differences(const Doubts& doubts) {
  return static_cast<size_t>(std::count_if(doubts.begin(), doubts.end(),
                                           [](const auto& entry) { return entry.second.looks >= kLooks; }));
}

}  // namespace mosaic::admin
