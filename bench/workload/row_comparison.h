#pragma once
// Compares rows as they are read with what the oracle expects, and at the end tells what is missing. Knows
// rows and expectations; where rows stand is the Verifier's business.

#include <libpq-fe.h>

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "bench/workload/oracle.h"
#include "bench/workload/population.h"

namespace mosaic::workload {

struct Verification {
  uint64_t rows_compared = 0;  // rows of this run found and compared
  uint64_t rows_placed = 0;    // all rows, whose shard was checked
  uint64_t differences = 0;
  std::vector<std::string> examples;  // the first differences, in words

  void add(std::string difference);
};

// The columns that RowComparison::add() wants, in its order: "SELECT <columns> FROM <table>".
std::string_view compared_columns(Table table);
// Of row `row` of such a result.
int64_t user_in(Table table, const PGresult* result, int row);
// The row's ID from next_id(); 0 in tables without one.
int64_t id_in(Table table, const PGresult* result, int row);

class RowComparison {
 public:
  RowComparison(const Oracle& oracle, const Population& population)
      : oracle_(oracle), population_(population) {}

  // Rows of users outside this run's population are passed over. `where`: the table's place, for people.
  void add(Table table, const PGresult* result, int row, const std::string& where);
  // After all rows: what the oracle knows and nobody saw.
  void finish();
  Verification& verification() { return verification_; }

 private:
  void check_edit_count(int64_t user_id, std::string_view edit_count, const std::string& where);

  const Oracle& oracle_;
  const Population& population_;
  Verification verification_;
  std::array<std::unordered_set<RowKey, RowKeyHash>, kTableCount> seen_;
  std::array<std::unordered_map<uint64_t, uint32_t>, kTableCount> unidentified_seen_;
};

}  // namespace mosaic::workload
