#pragma once
// What `mosaic init` and ADD NODE ask of an InitRunner.

#include <string>

#include "admin/node_change.h"
#include "admin/stop_signal.h"

namespace mosaic::admin {

struct InitOptions {
  bool is_dry_run = false;
  unsigned jobs = 2;                 // connections per node
  std::string only_node;             // prepares this one alone, in a cluster that is complete
  Say say;                           // never null
  const StopSignal* stop = nullptr;  // ends every wait
};

}  // namespace mosaic::admin
