#pragma once
// The figures of a run, and their two forms: a small table for people, JSON for programs.

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bench/workload/console_watch.h"
#include "bench/workload/options.h"
#include "bench/workload/statistics.h"
#include "bench/workload/verifier.h"

namespace mosaic::workload {

// One query mode's part of the run.
struct PhaseFigures {
  QueryMode mode = QueryMode::kSimple;
  double seconds = 0;
  Statistics statistics;
};

struct RunFigures {
  std::deque<PhaseFigures> phases;
  std::optional<ConsolePeaks> peaks;         // --console
  std::vector<NodeContent> nodes;            // --node
  std::vector<std::string> node_addresses;   // "address:port" of each, as the console writes it
  std::optional<Verification> verification;  // --check
};

std::string to_table(const Options& options, const RunFigures& figures);
std::string to_json(const Options& options, const RunFigures& figures);
// Why the run counts as failed, one line each; empty: it did not.
std::vector<std::string> find_failures(const Options& options, const RunFigures& figures);

}  // namespace mosaic::workload
