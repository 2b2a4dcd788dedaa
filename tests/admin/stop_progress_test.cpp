// Who waits for clients to leave says so when the number changes, and now and then when it does not.
#include "admin/stop_progress.h"

#include <gtest/gtest.h>

namespace mosaic::admin {
namespace {

using std::chrono::seconds;

TEST(StopProgress, tells_the_first_number_changes_and_now_and_then_the_same) {
  StopProgress progress;
  const StopProgress::Time start;
  EXPECT_EQ(progress.tell(3, "them to leave", start), "stopping: 3 clients left, waiting for them to leave");
  EXPECT_FALSE(progress.tell(3, "", start + seconds(1)));
  EXPECT_EQ(progress.tell(1, "their transactions", start + seconds(2)),
            "stopping: 1 client left, waiting for their transactions");
  EXPECT_FALSE(progress.tell(0, "", start + seconds(2)));  // too soon after the last
  EXPECT_FALSE(progress.tell(1, "", start + seconds(11)));
  EXPECT_TRUE(progress.tell(1, "", start + seconds(12)));
}

TEST(StopProgress, says_nothing_where_nobody_is) {
  StopProgress progress;
  EXPECT_FALSE(progress.tell(0, "", {}));
}

}  // namespace
}  // namespace mosaic::admin
