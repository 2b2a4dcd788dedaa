#include "bench/workload/row_comparison.h"

#include <gtest/gtest.h>

#include "bench/workload/operation.h"
#include "bench/workload/photo_texts.h"
#include "tests/bench/made_result.h"

namespace mosaic::workload {
namespace {

constexpr int64_t kUser = 1001;

class RowComparisonTest : public testing::Test {
 protected:
  void read(Table table, int columns, const MadeRows& rows) {
    const ResultPtr result = make_result(columns, rows);
    for (int row = 0; row < PQntuples(result.get()); ++row)
      comparison_.add(table, result.get(), row, "shard_0001");
  }
  void read_photo(int64_t id, const std::string& caption) {
    read(Table::kMedia, 5, {{std::to_string(id), std::to_string(kUser), caption, "sepia", "640"}});
  }
  void read_user(const std::string& edit_count) {
    read(Table::kUsers, 5,
         {{std::to_string(kUser), user_name(kUser), user_bio(kUser), std::string(user_country(kUser)),
           edit_count}});
  }
  // The first words of the differences found, e.g. "missing".
  std::vector<std::string> differences() {
    comparison_.finish();
    std::vector<std::string> sorts;
    for (const std::string& example : comparison_.verification().examples) {
      sorts.push_back(example.substr(0, example.find(':')));
    }
    return sorts;
  }
  static uint64_t caption_digest(const std::string& caption) {
    return photo_digest(kUser, caption, "sepia", 640);
  }

  using Sorts = std::vector<std::string>;
  Oracle oracle_;
  Population population_{1000, 10, 1.0};
  RowComparison comparison_{oracle_, population_};
};

TEST_F(RowComparisonTest, accepts_what_was_written) {
  oracle_.insert(Table::kMedia, {5, 0}, caption_digest("a"));
  oracle_.insert(Table::kLikes, {kUser, 5}, like_digest(kUser));
  oracle_.insert(Table::kComments, {6, 0}, comment_digest(kUser, 5, "nice"));
  oracle_.insert(Table::kFollows, {kUser, 1002}, follow_digest(kUser));
  read_photo(5, "a");
  read(Table::kLikes, 2, {{std::to_string(kUser), "5"}});
  read(Table::kComments, 4, {{"6", std::to_string(kUser), "5", "nice"}});
  read(Table::kFollows, 2, {{std::to_string(kUser), "1002"}});
  EXPECT_EQ(differences(), Sorts{});
  EXPECT_EQ(comparison_.verification().rows_compared, 4u);
}

TEST_F(RowComparisonTest, finds_a_missing_row) {
  oracle_.insert(Table::kLikes, {kUser, 5}, like_digest(kUser));
  EXPECT_EQ(differences(), Sorts{"missing"});
}

TEST_F(RowComparisonTest, finds_a_row_that_nobody_was_told_of) {
  read_photo(5, "a");
  EXPECT_EQ(differences(), Sorts{"extra"});
}

TEST_F(RowComparisonTest, finds_a_changed_row) {
  oracle_.insert(Table::kMedia, {5, 0}, caption_digest("a"));
  read_photo(5, "b");
  EXPECT_EQ(differences(), Sorts{"changed"});
}

TEST_F(RowComparisonTest, finds_a_row_that_stands_in_two_places) {
  oracle_.insert(Table::kMedia, {5, 0}, caption_digest("a"));
  read_photo(5, "a");
  read_photo(5, "a");
  EXPECT_EQ(differences(), Sorts{"twice"});
}

TEST_F(RowComparisonTest, finds_a_deleted_row_that_is_still_there) {
  oracle_.insert(Table::kMedia, {5, 0}, caption_digest("a"));
  oracle_.remove(Table::kMedia, {5, 0});
  read_photo(5, "a");
  EXPECT_EQ(differences(), Sorts{"extra"});
}

TEST_F(RowComparisonTest, passes_over_other_runs) {
  read(Table::kLikes, 2, {{"7", "5"}});
  EXPECT_EQ(differences(), Sorts{});
  EXPECT_EQ(comparison_.verification().rows_compared, 0u);
}

TEST_F(RowComparisonTest, allows_both_outcomes_of_a_lost_update_and_no_third) {
  for (const auto& [found, expected] :
       {std::pair<std::string, Sorts>{"a", {}}, {"b", {}}, {"c", Sorts{"changed"}}}) {
    Oracle oracle;
    oracle.insert(Table::kMedia, {5, 0}, caption_digest("a"));
    oracle.maybe_update(Table::kMedia, {5, 0}, caption_digest("b"));
    RowComparison comparison(oracle, population_);
    const ResultPtr result = make_result(5, {{"5", std::to_string(kUser), found, "sepia", "640"}});
    comparison.add(Table::kMedia, result.get(), 0, "shard_0001");
    comparison.finish();
    EXPECT_EQ(comparison.verification().differences, expected.size()) << found;
  }
}

TEST_F(RowComparisonTest, allows_a_lost_insert_once_for_each_attempt) {
  oracle_.maybe_insert_unidentified(Table::kMedia, caption_digest("a"));
  read_photo(5, "a");
  read_photo(6, "a");
  EXPECT_EQ(differences(), Sorts{"extra"});
}

TEST_F(RowComparisonTest, allows_a_lost_insert_to_have_failed) {
  oracle_.maybe_insert_unidentified(Table::kMedia, caption_digest("a"));
  oracle_.maybe_insert(Table::kLikes, {kUser, 5}, like_digest(kUser));
  EXPECT_EQ(differences(), Sorts{});
}

TEST_F(RowComparisonTest, counts_committed_edits) {
  oracle_.insert(Table::kUsers, {kUser, 0}, user_digest(kUser));
  oracle_.increase(kUser);
  oracle_.increase(kUser);
  read_user("1");
  EXPECT_EQ(differences(), Sorts{"changed"});
}

TEST_F(RowComparisonTest, allows_lost_edits_to_count_or_not) {
  oracle_.insert(Table::kUsers, {kUser, 0}, user_digest(kUser));
  oracle_.increase(kUser);
  oracle_.maybe_increase(kUser);
  read_user("2");
  EXPECT_EQ(differences(), Sorts{});
}

TEST_F(RowComparisonTest, knows_what_all_clients_know) {
  Oracle other;
  other.insert(Table::kLikes, {kUser, 5}, like_digest(kUser));
  other.increase(kUser);
  oracle_.maybe_insert(Table::kLikes, {kUser, 5}, like_digest(kUser));
  oracle_.merge(std::move(other));
  EXPECT_FALSE(oracle_.rows(Table::kLikes).at({kUser, 5}).may_be_absent);
  EXPECT_EQ(oracle_.count_of(kUser).certain, 1u);
}

}  // namespace
}  // namespace mosaic::workload
