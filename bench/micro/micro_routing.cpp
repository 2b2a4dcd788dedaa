// What does a routing decision cost when the statement's shape is in the cache? Analyze, route and write the
// qualified text, on one thread. Counts allocations, because one malloc costs as much as the decision should.
// Run: build/release/bench/micro/micro_routing

#include <string>
#include <string_view>

#include "bench/micro/measured.h"
#include "bench/micro/sample_catalog.h"
#include "routing/postgres/router.h"

namespace mosaic::routing {

namespace {

CatalogSnapshot make_catalog() { return CatalogSnapshot(micro::sample_parts(1024)); }

// The values of a Bind message: one bigint, $1.
Parameters make_parameters(std::string_view format) {
  static constexpr uint32_t kInt8 = 20;
  static constexpr std::string_view kBinaryFormat("\0\1", 2);
  static constexpr std::string_view kBinaryValue("\0\0\0\10\0\0\0\0\0\1\342\100", 12);
  static constexpr std::string_view kTextValue(
      "\0\0\0\6"
      "123456",
      10);
  if (format == "binary") return Parameters(kBinaryFormat, 1, kBinaryValue, {&kInt8, 1});
  return Parameters({}, 1, kTextValue, {&kInt8, 1});
}

void decide(benchmark::State& state, std::string_view text, const Parameters& parameters) {
  const CatalogSnapshot catalog = make_catalog();
  Router router(RouterLimits{});
  ByteBuffer out;
  const auto decide_once = [&] {
    const AnalyzedStatement statement = router.analyze(text, catalog);
    const auto route_or_error = route(statement, parameters, {}, catalog, NodeId{0});
    if (!route_or_error) return false;
    append_qualified(out, statement, *route_or_error, catalog);
    return true;
  };
  // The first fills the cache, the second learns the spelling, the third fills the scratch buffers.
  if (!decide_once() || !decide_once() || !decide_once()) {
    state.SkipWithError("the statement is refused");
    return;
  }
  state.counters["bytes"] = static_cast<double>(text.size());
  const micro::Measured measured(state);
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(decide_once());
    benchmark::DoNotOptimize(out.data());
  }
}

constexpr std::string_view kSelectByKey =
    "SELECT id, caption, created_at FROM media WHERE user_id = 123456 ORDER BY created_at DESC LIMIT 20 ;";
static_assert(kSelectByKey.size() == 100);
constexpr std::string_view kSelectByParameter =
    "SELECT id, caption, created_at FROM media WHERE user_id = $1 ORDER BY created_at DESC LIMIT 20 -- ap";
static_assert(kSelectByParameter.size() == 100);
constexpr std::string_view kInsert =
    "INSERT INTO likes (user_id, media_id, created_at) VALUES (123456, 1035278463874924549, now()) RETURNING "
    "id";
constexpr std::string_view kJoin =
    "SELECT u.name, m.caption, l.id FROM users u JOIN media m ON m.user_id = u.user_id JOIN likes l ON "
    "l.user_id = "
    "u.user_id WHERE u.user_id = 123456 AND m.id = l.media_id";

}  // namespace

BENCHMARK_CAPTURE(decide, select_100_bytes_literal, kSelectByKey, Parameters());
BENCHMARK_CAPTURE(decide, select_100_bytes_binary_parameter, kSelectByParameter, make_parameters("binary"));
BENCHMARK_CAPTURE(decide, select_100_bytes_text_parameter, kSelectByParameter, make_parameters("text"));
BENCHMARK_CAPTURE(decide, insert_106_bytes, kInsert, Parameters());
BENCHMARK_CAPTURE(decide, join_of_three_tables, kJoin, Parameters());

// Its last step alone: the text with the schema before each sharded name.
static void splice(benchmark::State& state, std::string_view text) {
  const CatalogSnapshot catalog = make_catalog();
  Router router(RouterLimits{});
  const AnalyzedStatement statement = router.analyze(text, catalog);
  const auto decided = route(statement, Parameters(), {}, catalog, NodeId{0});
  if (!decided) return state.SkipWithError("the statement is refused");
  ByteBuffer out;
  append_qualified(out, statement, *decided, catalog);
  const micro::Measured measured(state);
  for (auto _ : state) {
    out.clear();
    append_qualified(out, statement, *decided, catalog);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK_CAPTURE(splice, one_name, kSelectByKey);
BENCHMARK_CAPTURE(splice, three_names, kJoin);

// And what a decision costs when the shape is not in the cache: parse and analysis, with an empty cache each
// time.
static void first_statement_of_a_shape(benchmark::State& state) {
  const CatalogSnapshot catalog = make_catalog();
  const micro::Measured measured(state);
  for (auto _ : state) {
    Router router(RouterLimits{});
    benchmark::DoNotOptimize(router.analyze(kSelectByKey, catalog));
  }
}
BENCHMARK(first_statement_of_a_shape);

}  // namespace mosaic::routing

BENCHMARK_MAIN();
