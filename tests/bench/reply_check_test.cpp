#include "bench/workload/reply_check.h"

#include <gtest/gtest.h>

#include "bench/workload/photo_texts.h"
#include "tests/bench/made_result.h"

namespace mosaic::workload {
namespace {

constexpr int64_t kUser = 100'007;

Operation read_operation(OperationKind kind, StatementId statement) {
  Operation operation;
  operation.kind = kind;
  operation.user_id = kUser;
  operation.row_id = 55;
  operation.statements = {{statement, {kUser}}};
  return operation;
}

std::string fault_of(const Operation& operation, int columns, const MadeRows& rows) {
  return find_fault(operation, 0, make_result(columns, rows).get());
}

TEST(ReplyCheck, accepts_the_profile_asked_for) {
  const Operation operation = read_operation(OperationKind::kReadProfile, StatementId::kReadProfile);
  EXPECT_EQ(fault_of(operation, 4,
                     {{std::to_string(kUser), user_name(kUser), user_bio(kUser),
                       std::string(user_country(kUser))}}),
            "");
}

TEST(ReplyCheck, finds_another_users_profile) {
  const Operation operation = read_operation(OperationKind::kReadProfile, StatementId::kReadProfile);
  EXPECT_NE(
      fault_of(operation, 4, {{std::to_string(kUser + 1), user_name(kUser + 1), user_bio(kUser + 1), "DE"}}),
      "");
}

TEST(ReplyCheck, finds_missing_and_surplus_rows) {
  const Operation operation = read_operation(OperationKind::kReadPhoto, StatementId::kReadPhoto);
  const std::vector<std::string> row{"55", std::to_string(kUser), photo_caption(kUser, 1, 2, 0)};
  EXPECT_EQ(fault_of(operation, 3, {row}), "");
  EXPECT_NE(fault_of(operation, 3, {}), "");
  EXPECT_NE(fault_of(operation, 3, {row, row}), "");
}

TEST(ReplyCheck, finds_anothers_photo_among_the_feed) {
  const Operation operation = read_operation(OperationKind::kReadFeed, StatementId::kReadFeed);
  const std::vector<std::string> own{"55", std::to_string(kUser), photo_caption(kUser, 1, 2, 0)};
  EXPECT_EQ(fault_of(operation, 3, {own, own}), "");
  EXPECT_NE(
      fault_of(operation, 3, {own, {"56", std::to_string(kUser + 1), photo_caption(kUser + 1, 1, 2, 0)}}),
      "");
  EXPECT_NE(fault_of(operation, 3, {{"55", std::to_string(kUser), photo_caption(kUser + 1, 1, 2, 0)}}), "");
}

TEST(ReplyCheck, finds_a_caption_that_an_edit_does_not_expect) {
  Operation operation = read_operation(OperationKind::kEditCaption, StatementId::kLockPhoto);
  operation.expected_text = photo_caption(kUser, 1, 2, 3);
  EXPECT_EQ(fault_of(operation, 3, {{"55", std::to_string(kUser), photo_caption(kUser, 1, 2, 3)}}), "");
  EXPECT_NE(fault_of(operation, 3, {{"55", std::to_string(kUser), photo_caption(kUser, 1, 2, 2)}}), "");
}

}  // namespace
}  // namespace mosaic::workload
