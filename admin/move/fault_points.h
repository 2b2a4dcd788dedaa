#pragma once
// Places in a move where a test may make the worst happen: MOSAIC_FAULT=point:action[,point:action]. In every
// build, because what is tested is what ships; without the variable each costs one comparison.
//
// Actions: skip (the step named by the point is left out: "cutover.hold", "cutover.fence"; to see that tests
// find what comes of it), kill (SIGKILL to this process), stop (SIGSTOP, until somebody continues it), drop
// (the step fails as if its connection were lost), delay (a second). A point acts once.

#include <string>
#include <vector>

#include "routing/result.h"

namespace mosaic::admin {

// Every point, in the order in which a move comes by; the README lists them.
const std::vector<std::string>& fault_point_names();

// Error: the variable names what is not there.
routing::Status check_fault_points();

// The step is to be left out. Each time, unlike the others.
bool skips_step(const char* point);

// Fails where a connection is to be lost.
routing::Status pass_fault_point(const char* point);

}  // namespace mosaic::admin
