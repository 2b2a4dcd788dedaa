#include "bench/workload/statement.h"

#include <gtest/gtest.h>

namespace mosaic::workload {
namespace {

TEST(Statement, writes_values_as_literals) {
  EXPECT_EQ(
      to_literal_text({StatementId::kEditCaption, {int64_t{7}, std::string("it's $1, a \\ and \"q\"")}}),
      "UPDATE media SET caption = 'it''s $1, a \\ and \"q\"' WHERE id = 7");
}

TEST(Statement, writes_negative_numbers) {
  EXPECT_EQ(to_literal_text({StatementId::kReadPhoto, {int64_t{-5}}}),
            "SELECT id, user_id, caption FROM media WHERE id = -5");
}

TEST(Statement, has_a_name_and_a_text_for_every_id) {
  for (size_t i = 0; i < kStatementCount; ++i) {
    EXPECT_FALSE(name_of(static_cast<StatementId>(i)).empty());
    EXPECT_FALSE(text_of(static_cast<StatementId>(i)).empty());
  }
}

}  // namespace
}  // namespace mosaic::workload
