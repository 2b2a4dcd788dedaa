// The list of a server's prepared statements, against a model that is slow and plain.

#include "pool/postgres/statement_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace mosaic::pool {
namespace {

using Pair = std::pair<uint64_t, uint32_t>;
Pair pair_of(const StatementKey& key) { return {key.statement, key.shard_plus_one}; }

TEST(StatementList, agrees_with_a_set_over_random_operations) {
  std::mt19937 random(7);
  StatementList list;
  std::set<Pair> model;
  for (int step = 0; step < 200'000; ++step) {
    const StatementKey key{1 + random() % 7, static_cast<uint32_t>(random() % 40)};
    switch (random() % 4) {
      case 0:
        list.insert(key);
        model.insert(pair_of(key));
        break;
      case 1:
        list.erase(key);
        model.erase(pair_of(key));
        break;
      case 2:
        ASSERT_EQ(list.touch(key), model.count(pair_of(key)) > 0);
        break;
      default:
        if (const auto evicted = list.evict(100)) {
          ASSERT_GE(model.size(), 100u);
          ASSERT_EQ(model.erase(pair_of(*evicted)), 1u);
        } else {
          ASSERT_LT(model.size(), 100u);
        }
    }
    ASSERT_EQ(list.size(), model.size());
  }
  for (const auto& [statement, shard] : model) EXPECT_TRUE(list.contains({statement, shard}));
}

TEST(StatementList, keeps_what_is_used_between_evictions) {
  StatementList list;
  constexpr uint32_t kHot = 10, kLimit = 50;
  for (uint32_t i = 0; i < kHot; ++i) list.insert({1, i});
  for (uint32_t once = 0; once < 10'000; ++once) {
    for (uint32_t i = 0; i < kHot; ++i) ASSERT_TRUE(list.touch({1, i})) << "after " << once;
    while (list.evict(kLimit)) {
    }
    list.insert({2, once});
  }
  EXPECT_EQ(list.size(), kLimit);
}

TEST(StatementList, tells_which_are_of_a_shard) {
  StatementList list;
  list.insert({1, 0});
  list.insert({1, 8});
  list.insert({2, 9});
  list.insert({3, 8, 4});
  EXPECT_THAT(list.of_shard({7}), testing::UnorderedElementsAre(StatementKey{1, 8}, StatementKey{3, 8, 4}));
  EXPECT_TRUE(list.of_shard({0}).empty());
}

TEST(StatementList, names_differ_by_statement_and_shard) {
  std::set<std::string> names;
  for (uint64_t statement : {1, 11, 111}) {
    for (uint32_t shard : {0, 1, 11}) names.emplace(ServerStatementName({statement, shard}).view());
  }
  EXPECT_EQ(names.size(), 9u);
}

}  // namespace
}  // namespace mosaic::pool
