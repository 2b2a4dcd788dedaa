// Sessions under random clients, servers, pieces and losses: a few fixed seeds each time, or the seed in
// MOSAIC_SIMULATION_SEED (with MOSAIC_SIMULATION_STEPS events).

#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace mosaic::simulation {
namespace {

constexpr uint64_t kSteps = 100'000;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void simulate(uint64_t seed) {
  const uint64_t steps = from_environment("MOSAIC_SIMULATION_STEPS", kSteps);
  Simulation simulation(seed);
  const std::string complaint = simulation.run(steps);
  EXPECT_EQ(complaint, "") << "repeat with MOSAIC_SIMULATION_SEED=" << seed
                           << " MOSAIC_SIMULATION_STEPS=" << steps;
  std::printf(
      "seed %llu: %llu frames compared, %llu leases, %llu disturbances, %llu bound queries (%llu anew)\n",
      static_cast<unsigned long long>(seed), static_cast<unsigned long long>(simulation.compared_frames()),
      static_cast<unsigned long long>(simulation.leases()),
      static_cast<unsigned long long>(simulation.disturbances()),
      static_cast<unsigned long long>(simulation.bound_queries()),
      static_cast<unsigned long long>(simulation.unbound_queries()));
  // It must have had something to get wrong.
  EXPECT_GT(simulation.compared_frames(), steps / 100);
  EXPECT_GT(simulation.leases(), steps / 500);
  if (simulation.binds_queries()) {
    EXPECT_GT(simulation.bound_queries(), steps / 10'000);
    EXPECT_GT(simulation.unbound_queries(), 0u);
  }
}

class SessionSimulation : public testing::TestWithParam<uint64_t> {};

TEST_P(SessionSimulation, gives_each_client_what_it_is_owed) {
  if (std::getenv("MOSAIC_SIMULATION_SEED") == nullptr) {
    simulate(GetParam());
  } else if (GetParam() == 1) {
    simulate(from_environment("MOSAIC_SIMULATION_SEED", 1));
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, SessionSimulation, testing::Values(1, 2, 3, 4, 5, 6, 7, 8));

}  // namespace
}  // namespace mosaic::simulation
