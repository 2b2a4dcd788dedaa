#include "admin/console/node_locks.h"

#include <gtest/gtest.h>

namespace mosaic::admin {
namespace {

std::string tree(const std::vector<LockedProcess>& processes) {
  std::string text;
  for (const BlockingLine& line : blocking_tree(processes))
    text += std::string(line.depth, '>') + std::to_string(processes[line.process].pid) + ' ';
  return text;
}

LockedProcess process(int pid, std::vector<int> blockers) {
  LockedProcess made;
  made.pid = pid;
  made.blockers = std::move(blockers);
  return made;
}

TEST(BlockingTree, shows_who_waits_below_whom_it_waits_for) {
  EXPECT_EQ(tree({}), "");
  EXPECT_EQ(tree({process(1, {2}), process(2, {}), process(3, {1}), process(4, {2})}), "2 >1 >>3 >4 ");
}

TEST(BlockingTree, shows_who_waits_for_several_under_each) {
  EXPECT_EQ(tree({process(1, {}), process(2, {}), process(3, {1, 2})}), "1 >3 2 >3 ");
}

TEST(BlockingTree, ends_where_processes_wait_for_each_other) {
  EXPECT_EQ(tree({process(1, {2}), process(2, {1}), process(3, {2})}), "1 >2 >>3 ");
}

TEST(BlockingTree, does_not_repeat_itself_without_end) {
  std::vector<LockedProcess> processes;
  std::vector<int> all;
  for (int pid = 1; pid <= 20; ++pid) {
    processes.push_back(process(pid, all));
    all.push_back(pid);
  }
  EXPECT_LE(blocking_tree(processes).size(), 10'000u);
}

}  // namespace
}  // namespace mosaic::admin
