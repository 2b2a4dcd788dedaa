#pragma once
// What an operation that succeeded, or whose outcome is unknown, means for the oracle. Called by PhotoClient.

#include "bench/workload/operation.h"
#include "bench/workload/oracle.h"

namespace mosaic::workload {

// `id`: the row's, as the server returned it; 0 for operations that return none.
void note_success(Oracle& oracle, const Operation& done, int64_t id);
// The server may or may not have done it.
void note_unknown(Oracle& oracle, const Operation& lost);

}  // namespace mosaic::workload
