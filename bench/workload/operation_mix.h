#pragma once
// How often each operation is drawn: parts of a whole, the photo application's own or as the command line
// says. A value; OperationPicker draws from it.

#include <array>
#include <string>

#include "bench/workload/statistics.h"
#include "bench/workload/zipf.h"

namespace mosaic::workload {

class OperationMix {
 public:
  // The application's: mostly reads, a fifth of uploads, likes and comments, some edits in transactions.
  OperationMix();
  // Parses "read_profile=50,upload=5": whole parts, every operation at most once; what is left out is never
  // drawn. Throws std::runtime_error, which names the nearest operation for a mistyped one.
  static OperationMix parse(const std::string& text);

  OperationKind draw(Random& random) const;
  uint32_t parts_of(OperationKind kind) const { return parts_[static_cast<size_t>(kind)]; }
  uint32_t parts() const { return sum_; }

 private:
  std::array<uint32_t, kOperationCount> parts_{};
  uint32_t sum_ = 0;
};

}  // namespace mosaic::workload
