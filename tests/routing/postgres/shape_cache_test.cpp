#include "routing/postgres/sql/shape_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "routing/postgres/router.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::routing {

namespace {

using KeyKind = ShapeCache::KeyKind;

StatementPlan plan_with_parameters(uint32_t count) {
  StatementPlan plan;
  plan.parameter_count = count;
  return plan;
}

void insert(ShapeCache& cache, std::string_view key, uint32_t parameter_count) {
  ASSERT_NE(cache.insert(KeyKind::kShape, key, ShapeCache::hash_of(KeyKind::kShape, key),
                         plan_with_parameters(parameter_count), false, 0),
            nullptr);
}

const ShapeCache::Entry* find(ShapeCache& cache, std::string_view key) {
  return cache.find(KeyKind::kShape, key, ShapeCache::hash_of(KeyKind::kShape, key));
}

}  // namespace

TEST(ShapeCache, finds_what_was_inserted_and_nothing_else) {
  ShapeCache cache(1 << 20);
  for (uint32_t i = 0; i < 1000; ++i) insert(cache, fmt::format("shape {}", i), i);
  EXPECT_EQ(cache.size(), 1000u);
  for (uint32_t i = 0; i < 1000; ++i) {
    const auto* entry = find(cache, fmt::format("shape {}", i));
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->plan.parameter_count, i);
  }
  EXPECT_EQ(find(cache, "shape 1000"), nullptr);
  EXPECT_EQ(cache.find(KeyKind::kText, "shape 1", ShapeCache::hash_of(KeyKind::kText, "shape 1")), nullptr);
}

TEST(ShapeCache, compares_the_key_when_hashes_are_equal) {
  ShapeCache cache(1 << 20);
  constexpr uint64_t kSameHash = 42;
  cache.insert(KeyKind::kShape, "one", kSameHash, plan_with_parameters(1), false, 0);
  EXPECT_EQ(cache.find(KeyKind::kShape, "two", kSameHash), nullptr);
  cache.insert(KeyKind::kShape, "two", kSameHash, plan_with_parameters(2), false, 0);
  EXPECT_EQ(cache.find(KeyKind::kShape, "one", kSameHash)->plan.parameter_count, 1u);
  EXPECT_EQ(cache.find(KeyKind::kShape, "two", kSameHash)->plan.parameter_count, 2u);
}

TEST(ShapeCache, evicts_the_least_recently_used_to_stay_within_its_bytes) {
  ShapeCache cache(64 << 10);
  insert(cache, "kept", 1);
  for (uint32_t i = 0; i < 2000; ++i) {
    insert(cache, fmt::format("shape {}", i), i);
    ASSERT_LE(cache.bytes(), cache.bytes_max());
    ASSERT_NE(find(cache, "kept"), nullptr) << i;
  }
  EXPECT_GT(cache.evictions(), 1000u);
  EXPECT_EQ(cache.evictions() + cache.size(), 2001u);
  EXPECT_EQ(find(cache, "shape 0"), nullptr);
  EXPECT_NE(find(cache, "shape 1999"), nullptr);
}

TEST(ShapeCache, does_not_take_what_would_evict_most_of_the_rest) {
  ShapeCache cache(64 << 10);
  insert(cache, "kept", 1);
  const std::string large(9 << 10, 'x');
  StatementPlan plan = plan_with_parameters(3);
  EXPECT_EQ(cache.insert(KeyKind::kShape, large, 1, std::move(plan), false, 0), nullptr);
  EXPECT_EQ(plan.parameter_count, 3u);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(ShapeCache, shrinks_at_once_when_the_limit_does) {
  ShapeCache cache(1 << 20);
  for (uint32_t i = 0; i < 1000; ++i) insert(cache, fmt::format("shape {}", i), i);
  ASSERT_GT(cache.bytes(), 64u << 10);
  cache.set_bytes_max(64 << 10);
  EXPECT_LE(cache.bytes(), 64u << 10);
  EXPECT_EQ(cache.evictions() + cache.size(), 1000u);
  EXPECT_EQ(find(cache, "shape 0"), nullptr);
  EXPECT_NE(find(cache, "shape 999"), nullptr);
}

TEST(ShapeCache, forgets_everything_when_cleared) {
  ShapeCache cache(1 << 20);
  for (uint32_t i = 0; i < 500; ++i) insert(cache, fmt::format("shape {}", i), i);
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(find(cache, "shape 1"), nullptr);
  insert(cache, "shape 1", 9);
  EXPECT_EQ(find(cache, "shape 1")->plan.parameter_count, 9u);
}

TEST(Router, says_when_what_it_gave_is_not_to_be_used_any_more) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  const auto grows = [&router](auto&& act) {
    const uint64_t before = router.generation();
    act();
    return router.generation() > before;
  };
  EXPECT_TRUE(grows([&] { router.analyze("SELECT 1", catalog); }));
  EXPECT_TRUE(grows([&] { router.analyze("SELECT 2", catalog); }));  // from the cache
  EXPECT_TRUE(grows([&] { router.analyze("SELEC", catalog); }));
  EXPECT_TRUE(grows([&] { router.set_shape_cache_bytes(0); }));
  EXPECT_TRUE(grows([&] { router.set_shape_cache_bytes(1 << 20); }));
  EXPECT_FALSE(grows([&] {
    EXPECT_GT(router.statistics().misses, 0u);
    router.shapes(10);
  }));
}

TEST(Router, parses_once_per_shape) {
  uint64_t (*tick)() = [] {
    static uint64_t now = 0;
    return now += 100;
  };
  Router router(RouterLimits{1 << 20, tick});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  for (int i = 0; i < 10; ++i)
    router.analyze(fmt::format("SELECT * FROM media WHERE user_id = {}", i), catalog);
  router.analyze("SELECT 'x'", catalog);
  const ShapeCacheStatistics statistics = router.statistics();
  EXPECT_EQ(statistics.misses, 2u);
  EXPECT_EQ(statistics.hits, 9u);
  EXPECT_EQ(statistics.parse_ns, 200u);
  EXPECT_EQ(statistics.shapes, 2u);
  EXPECT_GT(statistics.bytes, 0u);
  const auto shapes = router.shapes(1);
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].text, "SELECT * FROM media WHERE user_id = ?");
  EXPECT_EQ(shapes[0].placement, "sharded");
  EXPECT_EQ(shapes[0].hits, 9u);
  EXPECT_EQ(shapes[0].parse_ns, 100u);
}

TEST(Router, forgets_plans_when_the_tables_change) {
  Router router(RouterLimits{});
  CatalogSnapshot::Parts parts = testing::sample_parts();
  const CatalogSnapshot before(parts);
  for (Table& table : parts.tables) {
    if (table.name == "media") table.key = "caption";
  }
  const CatalogSnapshot after(std::move(parts));
  constexpr std::string_view kText = "SELECT * FROM media WHERE user_id = 5";
  EXPECT_TRUE(route(router.analyze(kText, before), {}, {}, before, NodeId{0}));
  EXPECT_FALSE(route(router.analyze(kText, after), {}, {}, after, NodeId{0}));
  EXPECT_TRUE(route(router.analyze(kText, before), {}, {}, before, NodeId{0}));
}

TEST(Router, keeps_plans_when_only_the_map_changes) {
  Router router(RouterLimits{});
  CatalogSnapshot::Parts parts = testing::sample_parts();
  const CatalogSnapshot before(parts);
  for (ShardPlace& place : parts.places) place.node = NodeId{1};
  const CatalogSnapshot after(std::move(parts));
  constexpr std::string_view kText = "SELECT * FROM media WHERE user_id = 5";
  router.analyze(kText, before);
  EXPECT_EQ(route(router.analyze(kText, after), {}, {}, after, NodeId{0})->node, NodeId{1});
  EXPECT_EQ(router.statistics().misses, 1u);
}

TEST(Router, does_not_cache_what_does_not_parse) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  // Lexically fine, but '\u12' is no character: another string in its place is.
  EXPECT_EQ(router.analyze("SELECT * FROM media WHERE user_id = 5 AND caption = E'\\u12'", catalog)
                .plan->parts[0]
                .kind,
            StatementKind::kInvalid);
  EXPECT_EQ(
      router.analyze("SELECT * FROM media WHERE user_id = 5 AND caption = E'x'", catalog).plan->parts[0].kind,
      StatementKind::kQuery);
}

TEST(CompiledStatement, outlives_the_text_and_the_router) {
  std::unique_ptr<CompiledStatement> compiled;
  {
    Router router(RouterLimits{});
    const std::string text =
        "/* mosaic shard=7 */ SELECT * FROM media WHERE caption = 'a long enough string to be on the heap'";
    compiled = std::make_unique<CompiledStatement>(router.analyze(text, testing::sample_catalog()));
    router.analyze("SELECT 1", testing::sample_catalog());
  }
  const auto decided = route(compiled->view(), {}, {}, testing::sample_catalog(), NodeId{0});
  ASSERT_TRUE(decided);
  EXPECT_EQ(decided->shard, ShardId{7});
  ByteBuffer out;
  append_qualified(out, compiled->view(), *decided, testing::sample_catalog());
  EXPECT_NE(out.view().find("FROM shard_0007.media WHERE"), std::string_view::npos);
}

TEST(CompiledStatement, copes_with_a_hint_without_a_value) {
  Router router(RouterLimits{});
  const CompiledStatement compiled(
      router.analyze("/* mosaic user_id= */ TABLE media", testing::sample_catalog()));
  EXPECT_EQ(route(compiled.view(), {}, {}, testing::sample_catalog(), NodeId{0}).error().sqlstate, "MZ016");
}

}  // namespace mosaic::routing
