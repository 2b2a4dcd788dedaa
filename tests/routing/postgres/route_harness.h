#pragma once
// What the tables of routing examples have in common: route a text over the sample catalog, and compare.

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "routing/postgres/router.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::routing::testing {

inline constexpr NodeId kAnywhere{2};

// One Router for all: so that the examples also meet each other's plans in its cache.
inline AnalyzedStatement analyze(std::string_view text) {
  static Router router(RouterLimits{});
  return router.analyze(text, sample_catalog());
}

inline Result<Route> route_text(std::string_view text, const Hint& setting = {},
                                const Parameters& parameters = {}) {
  return route(analyze(text), parameters, setting, sample_catalog(), kAnywhere);
}

inline std::string qualified(std::string_view text, const Route& decided) {
  ByteBuffer out;
  append_qualified(out, analyze(text), decided, sample_catalog());
  return std::string(out.view());
}

inline void expect_shard(std::string_view text, ShardId shard, const Hint& setting = {}) {
  SCOPED_TRACE(text);
  const auto decided = route_text(text, setting);
  ASSERT_TRUE(decided) << decided.error().to_line();
  EXPECT_EQ(decided->target, Route::Target::kShard);
  EXPECT_EQ(decided->shard.value, shard.value);
  EXPECT_EQ(decided->node, sample_catalog().node_of(shard));
}

inline void expect_node(std::string_view text, NodeId node, const Hint& setting = {}) {
  SCOPED_TRACE(text);
  const auto decided = route_text(text, setting);
  ASSERT_TRUE(decided) << decided.error().to_line();
  EXPECT_EQ(decided->target, Route::Target::kNode) << decided->to_text(sample_catalog());
  EXPECT_EQ(decided->node, node);
}

inline void expect_any_node(std::string_view text) {
  SCOPED_TRACE(text);
  const auto decided = route_text(text);
  ASSERT_TRUE(decided) << decided.error().to_line();
  EXPECT_EQ(decided->target, Route::Target::kAnyNode) << decided->to_text(sample_catalog());
  EXPECT_EQ(decided->node, kAnywhere);
}

// `words`: a piece of the error as a user reads it, hint included.
inline void expect_refusal(std::string_view text, std::string_view sqlstate, std::string_view words,
                           const Hint& setting = {}) {
  SCOPED_TRACE(text);
  const auto decided = route_text(text, setting);
  ASSERT_FALSE(decided) << decided->to_text(sample_catalog());
  EXPECT_EQ(decided.error().sqlstate, sqlstate) << decided.error().to_line();
  EXPECT_NE(decided.error().to_line().find(words), std::string::npos) << decided.error().to_line();
}

// `expected`: the text as the server gets it, with "S." for the schema of the shard.
inline void expect_rewrite(std::string_view text, ShardId shard, std::string expected) {
  SCOPED_TRACE(text);
  const auto decided = route_text(text);
  ASSERT_TRUE(decided) << decided.error().to_line();
  ASSERT_EQ(decided->shard.value, shard.value);
  const std::string schema = std::string(sample_catalog().schema_of(shard)) + ".";
  for (size_t at = expected.find("S."); at != std::string::npos;
       at = expected.find("S.", at + schema.size())) {
    expected.replace(at, 2, schema);
  }
  EXPECT_EQ(qualified(text, *decided), expected);
}

}  // namespace mosaic::routing::testing
