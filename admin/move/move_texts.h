#pragma once
// How moves are told to people, in lines.

#include <cstdint>
#include <string>

#include "admin/move/move_row.h"

namespace mosaic::admin {

// "12.3 MB".
std::string size_text(uint64_t bytes);
// "45 s", "4 min", "2.5 h".
std::string duration_text(uint64_t seconds);
// Where a move is; the same text as long as nothing has changed.
std::string progress_line(const MoveRow& row);

}  // namespace mosaic::admin
