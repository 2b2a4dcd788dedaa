#include "routing/postgres/shape_use.h"

#include <gtest/gtest.h>

#include "routing/postgres/router.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::routing {
namespace {

TEST(TimeHistogram, tells_percentiles_to_within_a_fifth) {
  TimeHistogram times;
  EXPECT_EQ(times.percentile_us(0.99), 0u);
  for (uint64_t us = 1; us <= 100'000; ++us) times.add(us);
  for (const double share : {0.01, 0.1, 0.5, 0.9, 0.99, 1.0}) {
    const double exact = share * 100'000;
    const auto told = static_cast<double>(times.percentile_us(share));
    EXPECT_GE(told, exact * 0.999) << share;
    EXPECT_LE(told, exact * 1.26) << share;
  }
}

TEST(TimeHistogram, takes_what_is_nothing_and_what_is_longer_than_its_last_class) {
  TimeHistogram times;
  times.add(0);
  EXPECT_EQ(times.percentile_us(1.0), 0u);
  times.add(UINT64_MAX);
  EXPECT_GT(times.percentile_us(1.0), 250'000'000u);
  TimeHistogram sum;
  sum.add(times);
  sum.add(times);
  EXPECT_EQ(sum.percentile_us(0.5), 0u);
}

TEST(NormalisedShape, has_one_mark_for_literals_and_parameters) {
  EXPECT_EQ(normalised_shape("SELECT $1, a$1, $12::int, \"$1\", f($2)"),
            "SELECT ?, a$1, ?::int, \"$1\", f(?)");
  EXPECT_EQ(normalised_shape("SELECT \x01 , \x03"), "SELECT ? , ?");
  EXPECT_EQ(normalised_shape("SELECT $"), "SELECT $");
}

TEST(Router, spellings_of_a_statement_are_counted_in_one_place) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  ShapeUse* literal = router.analyze("SELECT * FROM media WHERE user_id = 5", catalog).use;
  ASSERT_NE(literal, nullptr);
  EXPECT_EQ(router.analyze("SELECT * FROM media WHERE user_id = $1", catalog).use, literal);
  EXPECT_EQ(router.analyze("SELECT * FROM media WHERE user_id = '7'", catalog).use, literal);
  EXPECT_EQ(router.analyze("SELECT * FROM media WHERE user_id = 5", catalog).use, literal);
  EXPECT_NE(router.analyze("SELECT id FROM media WHERE user_id = $1", catalog).use, literal);
  literal->counts.calls = 3;
  const auto shapes = router.shapes(10);
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].text, "SELECT * FROM media WHERE user_id = ?");
  EXPECT_EQ(shapes[0].counts.calls, 3u);
}

TEST(Router, a_prepared_statement_keeps_its_counts_when_the_cache_has_lost_it) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  {
    const CompiledStatement kept(router.analyze("SELECT * FROM media WHERE user_id = $1", catalog));
    kept.view().use->counts.calls = 5;
    router.set_shape_cache_bytes(0);
    const auto shapes = router.shapes(10);
    ASSERT_EQ(shapes.size(), 1u);
    EXPECT_EQ(shapes[0].counts.calls, 5u);
  }
  EXPECT_TRUE(router.shapes(10).empty());
}

TEST(Router, texts_whose_literals_decide_are_one_shape_without_them) {
  Router router(RouterLimits{});
  const CatalogSnapshot& catalog = testing::sample_catalog();
  router.analyze("SET search_path = 'my secret'", catalog);
  router.analyze("SET search_path = 'another secret'", catalog);
  for (const ShapeStatistics& shape : router.shapes(10))
    EXPECT_EQ(shape.text.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace mosaic::routing
