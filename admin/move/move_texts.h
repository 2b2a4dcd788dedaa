#pragma once
// How moves are told to people, in lines.

#include <cstdint>
#include <string>
#include <vector>

#include "admin/move/move_row.h"
#include "admin/node_change.h"

namespace mosaic::admin {

// "12.3 MB".
std::string size_text(uint64_t bytes);
// "45 s", "4 min", "2.5 h".
std::string duration_text(uint64_t seconds);
// The first of them, and how many more there are.
void say_some(const std::vector<std::string>& lines, const Say& say);
// Where a move is; the same text as long as nothing has changed.
std::string progress_line(const MoveRow& row);

}  // namespace mosaic::admin
