// What does the cache of plans cost when it hits, misses and evicts, and do its bytes mean memory? Hits walk
// over `shapes` entries in turn, so that larger caches show the processor's cache misses too. Run:
// build/release/bench/micro/micro_shape_cache

#include <fmt/format.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "bench/micro/measured.h"
#include "bench/micro/sample_catalog.h"
#include "routing/postgres/router.h"
#include "routing/postgres/sql/shape_cache.h"

namespace {

using namespace mosaic::routing;
using KeyKind = ShapeCache::KeyKind;

std::string shape_of(int64_t number) {
  return fmt::format("SELECT id, caption, created_at AS c{} FROM media WHERE user_id = \1 LIMIT \1", number);
}

// As the analysis of such a statement leaves it, for a cache entry of true size.
const StatementPlan& sample_plan() {
  static const CatalogSnapshot catalog(mosaic::micro::sample_parts(64));
  static Router router(RouterLimits{});
  static const StatementPlan plan =
      *router.analyze("SELECT id, caption FROM media WHERE user_id = 5 LIMIT 20", catalog).plan;
  return plan;
}

void insert(ShapeCache& cache, std::string_view key) {
  cache.insert(KeyKind::kShape, key, ShapeCache::hash_of(KeyKind::kShape, key), StatementPlan(sample_plan()),
               false, 0);
}

std::vector<std::string> make_shapes(int64_t count) {
  std::vector<std::string> shapes;
  for (int64_t i = 0; i < count; ++i) shapes.push_back(shape_of(i));
  return shapes;
}

void hit(benchmark::State& state) {
  ShapeCache cache(256 << 20);
  const std::vector<std::string> shapes = make_shapes(state.range(0));
  for (const std::string& shape : shapes) insert(cache, shape);
  size_t at = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    const std::string& shape = shapes[at];
    at = at + 1 == shapes.size() ? 0 : at + 1;
    const auto* entry = cache.find(KeyKind::kShape, shape, ShapeCache::hash_of(KeyKind::kShape, shape));
    benchmark::DoNotOptimize(entry);
    if (entry == nullptr) return state.SkipWithError("a shape that was inserted is missing");
  }
}
BENCHMARK(hit)->ArgName("shapes")->Arg(1)->Arg(100)->Arg(10'000);

void miss(benchmark::State& state) {
  ShapeCache cache(256 << 20);
  for (const std::string& shape : make_shapes(state.range(0))) insert(cache, shape);
  const std::vector<std::string> absent = {shape_of(-1), shape_of(-2), shape_of(-3), shape_of(-4)};
  size_t at = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    const std::string& shape = absent[at++ % absent.size()];
    benchmark::DoNotOptimize(cache.find(KeyKind::kShape, shape, ShapeCache::hash_of(KeyKind::kShape, shape)));
  }
}
BENCHMARK(miss)->ArgName("shapes")->Arg(100)->Arg(10'000);

// One new shape in, one old out, with the copy of the plan that the benchmark makes for it.
void insert_and_evict(benchmark::State& state) {
  ShapeCache cache(1 << 20);
  int64_t number = 0;
  while (cache.evictions() == 0) insert(cache, shape_of(number++));
  std::string key;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    key = shape_of(number++);
    insert(cache, key);
  }
  state.counters["shapes"] = static_cast<double>(cache.size());
}
BENCHMARK(insert_and_evict);

// The whole way of a statement whose shape is new: tokenize, parse with libpg_query, analyse, insert, evict.
void statement_of_a_new_shape(benchmark::State& state) {
  const CatalogSnapshot catalog(mosaic::micro::sample_parts(64));
  Router router(RouterLimits{1 << 20, nullptr});
  int64_t number = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(router.analyze(
        fmt::format("SELECT id, caption AS c{} FROM media WHERE user_id = 5 LIMIT 20", number++), catalog));
  }
  state.counters["evictions"] = static_cast<double>(router.statistics().evictions);
}
BENCHMARK(statement_of_a_new_shape);

// No time here: how much the heap grows for each byte that the cache says it holds. Above 1 is the
// allocator's part.
void heap_bytes_per_counted_byte(benchmark::State& state) {
  double ratio = 0, bytes_per_shape = 0;
  for (auto _ : state) {
    const CatalogSnapshot catalog(mosaic::micro::sample_parts(64));
    Router router(RouterLimits{64 << 20, nullptr});
    const size_t before = ::mallinfo2().uordblks;
    for (int i = 0; i < 5'000; ++i) {
      router.analyze(fmt::format("SELECT id, caption AS c{} FROM media WHERE user_id = 5 LIMIT 20", i),
                     catalog);
    }
    const ShapeCacheStatistics statistics = router.statistics();
    ratio = static_cast<double>(::mallinfo2().uordblks - before) / static_cast<double>(statistics.bytes);
    bytes_per_shape = static_cast<double>(statistics.bytes) / static_cast<double>(statistics.shapes);
  }
  state.counters["heap_per_counted"] = ratio;
  state.counters["counted_per_shape"] = bytes_per_shape;
}
BENCHMARK(heap_bytes_per_counted_byte)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
