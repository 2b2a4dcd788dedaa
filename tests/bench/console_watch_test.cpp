// What two readings of SHOW SERVERS, each taken over some time, say for certain.
#include "bench/workload/console_watch.h"

#include <gtest/gtest.h>

namespace mosaic::workload {
namespace {

using Counts = std::map<std::string, uint64_t>;

TEST(CountLasting, counts_connections_that_both_readings_show) {
  EXPECT_EQ(count_lasting({{"a:1", {"10", "11", "12"}}, {"b:2", {"20"}}},
                          {{"a:1", {"11", "12", "13"}}, {"b:2", {"20"}}}),
            (Counts{{"a:1", 2}, {"b:2", 1}}));
}

TEST(CountLasting, does_not_count_a_connection_and_its_replacement) {
  // Both in one reading: one worker told of the old one before the other told of the new one.
  EXPECT_EQ(count_lasting({{"a:1", {"10"}}}, {{"a:1", {"10", "11"}}}), (Counts{{"a:1", 1}}));
}

TEST(CountLasting, knows_nothing_of_a_node_that_one_reading_shows) {
  EXPECT_EQ(count_lasting({}, {{"a:1", {"10"}}}), Counts{});
}

}  // namespace
}  // namespace mosaic::workload
