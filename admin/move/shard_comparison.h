#pragma once
// Whether the target has the rows that the source has, while both change: tables are compared in buckets of
// rows, by count and hash. A bucket differs only if the source's was the same before and after the target had
// been read behind a marker, several times in a row with the same values; one that changes all the time
// counts as busy at last.

#include <cstdint>
#include <string>
#include <vector>

#include "admin/move/move_objects.h"

namespace mosaic::admin {

struct ComparisonResult {
  uint64_t rows = 0;                     // compared
  uint64_t busy_buckets = 0;             // that changed at each look
  std::vector<std::string> differences;  // "media: 3 of 256 buckets"
};

// Both connections are the caller's; the target's listens to the lane.
routing::Result<ComparisonResult> compare_shard(Connection& source, Connection& target,
                                                const MoveScripts& scripts, const MoveRow& row, Way way);

}  // namespace mosaic::admin
