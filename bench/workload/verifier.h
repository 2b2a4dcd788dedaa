#pragma once
// Reads every row of every shard directly from its node and compares it with the oracle: nothing missing,
// nothing extra, nothing changed, each row on the shard that its user (and its ID) names, each shard on its
// node only.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/workload/cluster_map.h"
#include "bench/workload/oracle.h"
#include "bench/workload/population.h"
#include "bench/workload/row_comparison.h"

namespace mosaic::workload {

struct NodeContent {
  std::string name;
  uint32_t shards = 0;
  uint64_t rows = 0;  // all tables, also of earlier runs
};

class Verifier {
 public:
  Verifier(const ClusterMap& map, const Population& population) : map_(map), population_(population) {}

  // Throws std::runtime_error when a node can not be read.
  Verification verify(const Oracle& oracle) const;
  // Counts only.
  std::vector<NodeContent> count_content() const;

 private:
  const ClusterMap& map_;
  const Population& population_;
};

// Compares a plain PostgreSQL, where the application's tables stand in public, with the oracle.
Verification verify_unsharded(const std::string& conninfo, const Oracle& oracle,
                              const Population& population);

}  // namespace mosaic::workload
