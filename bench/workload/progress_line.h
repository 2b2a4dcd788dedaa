#pragma once
// Tells a person that the run is alive: one line that rewrites itself on a terminal, a plain line every few
// seconds elsewhere. Writes to standard error, so that standard output holds the figures only.

#include <string>

#include "bench/workload/phase_runner.h"

namespace mosaic::workload {

class ProgressLine {
 public:
  ProgressLine();

  // What is being done from now on, e.g. "prepared".
  void begin(const std::string& title);
  void show(const StageProgress& progress);
  // Any other line; without a terminal, too soon after the last it is left out.
  void print(double seconds, const std::string& line);
  bool is_due(double seconds) const { return is_terminal_ || seconds >= next_plain_s_; }
  const std::string& title() const { return title_; }
  // Removes the line from a terminal.
  void end();

 private:
  bool is_terminal_;
  std::string title_;
  double next_plain_s_ = 0;
  StageProgress last_;
};

}  // namespace mosaic::workload
