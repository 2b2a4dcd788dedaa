#pragma once
// Whether a reply can be true: the rows asked for and no others, as many rows changed as must be. This is
// what finds a statement sent to the wrong shard, and one client's reply given to another.

#include <string>

#include "bench/workload/connection.h"
#include "bench/workload/operation.h"

namespace mosaic::workload {

// What is wrong with the reply to statement `index` of `operation`; empty: nothing.
std::string find_fault(const Operation& operation, size_t index, const PGresult* result);

}  // namespace mosaic::workload
