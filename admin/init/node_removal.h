#pragma once
// REMOVE NODE: looks what is still on a node and takes it out of use.

#include "admin/config/config.h"
#include "admin/node_change.h"
#include "admin/stop_signal.h"
#include "routing/result.h"

namespace mosaic::admin {

// Errors: a node that is not in use; what is still there: shards, tables, prepared transactions.
routing::Status take_out_of_use(const Config& config, const NodeChange& change, const Say& say,
                                const StopSignal& stop);

}  // namespace mosaic::admin
