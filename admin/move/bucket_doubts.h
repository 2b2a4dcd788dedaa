#pragma once
// What is not settled yet in a comparison of two sides that both change. Pure.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace mosaic::admin {

// By bucket: count and hash of its rows, as text.
using Buckets = std::map<int64_t, std::string>;

// What both sides had when the source's stood still and the target's was another, and how many looks in a row
// have found just that. A row that comes and goes between the two looks at the source would look like a
// difference once; not over and over with the same values.
struct Doubt {
  std::string source, target;
  int looks = 0;
};
using Doubts = std::map<int64_t, Doubt>;

// `before` and `after`: the source, before and behind the target was read (`there`), which had all of
// `before` then. `earlier`: what the look before this one left.
Doubts doubts_of(const Buckets& before, const Buckets& there, const Buckets& after, const Doubts& earlier);

// All change while they are read, as many as before: another look would find the same.
bool is_too_busy(const Doubts& doubts, const Doubts& earlier);

// Those that have been looked at often enough.
size_t count_differences(const Doubts& doubts);

}  // namespace mosaic::admin
