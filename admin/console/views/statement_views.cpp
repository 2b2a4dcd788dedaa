// Which statements come, and which shards they keep busy.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

constexpr size_t kShapeCharacters = 60;  // so that a row fits into a terminal

// The same in every process, so that rows of several proxies can be put together.
std::string id_of(const std::string& shape) {
  return fmt::format("{:08x}", static_cast<uint32_t>(XXH3_64bits(shape.data(), shape.size())));
}

// At most so many characters of UTF8.
std::string shortened(const std::string& text) {
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (++characters > kShapeCharacters) return text.substr(0, i) + "...";
  }
  return text;
}

struct Shape {
  std::string text;
  routing::ShapeStatistics sum;
};

// The same shape in several workers is one row; what took most time comes first.
std::vector<Shape> all_shapes(const ViewContext& context) {
  std::map<std::string, routing::ShapeStatistics> by_text;
  for (const proxy::WorkerReport& worker : context.backend.report({.shapes = true}).workers) {
    for (const routing::ShapeStatistics& shape : worker.shapes) {
      routing::ShapeStatistics& sum = by_text[shape.text];
      sum.placement = shape.placement;
      sum.counts.add(shape.counts);
      sum.hits += shape.hits;
      sum.parse_ns += shape.parse_ns;
      sum.bytes += shape.bytes;
    }
  }
  std::vector<Shape> shapes;
  for (auto& [text, sum] : by_text) shapes.push_back({text, std::move(sum)});
  const auto rank = [](const Shape& shape) {
    return std::tuple(shape.sum.counts.time_us, shape.sum.counts.calls);
  };
  std::stable_sort(shapes.begin(), shapes.end(),
                   [&](const Shape& left, const Shape& right) { return rank(left) > rank(right); });
  return shapes;
}

}  // namespace

ViewTable show_shapes(const ViewContext& context) {
  ViewTable table{columns({"id", "calls#", "errors#", "rows#", "total_time#", "mean_time#", "p99_time#",
                           "placement", "shape"}),
                  {}};
  for (const Shape& shape : all_shapes(context)) {
    const routing::ShapeCounts& counts = shape.sum.counts;
    table.rows.push_back(row(id_of(shape.text), counts.calls, counts.errors, counts.rows, counts.time_us,
                             counts.calls == 0 ? 0 : counts.time_us / counts.calls,
                             counts.times.percentile_us(0.99), shape.sum.placement, shortened(shape.text)));
  }
  return table;
}

ViewTable show_shape_texts(const ViewContext& context) {
  ViewTable table{columns({"id", "cache_hits#", "parse_us#", "bytes#", "shape"}), {}};
  for (const Shape& shape : all_shapes(context))
    table.rows.push_back(
        row(id_of(shape.text), shape.sum.hits, shape.sum.parse_ns / 1000, shape.sum.bytes, shape.text));
  return table;
}

// Shards that did anything in the longest window; the busiest of the last ten seconds first.
ViewTable show_heat(const ViewContext& context) {
  const auto catalog = context.backend.catalog();
  const ShardTotals totals = sum_shards(context.backend.report({}));
  const auto now = ShardHeat::Clock::now();
  std::array<ShardTotals, ShardHeat::kWindows.size()> added;
  for (size_t window = 0; window < added.size(); ++window)
    added[window] = context.state.heat.added(window, totals, now);
  std::vector<uint32_t> shards;
  for (uint32_t shard = 0; shard < std::min<size_t>(catalog->shard_count(), totals.queries.size()); ++shard) {
    if (added.back().queries[shard] > 0 || added.back().us[shard] > 0) shards.push_back(shard);
  }
  const auto rank = [&](uint32_t shard) {
    return std::tuple(added[0].us[shard], added[0].queries[shard], added[1].us[shard], added[2].us[shard]);
  };
  std::stable_sort(shards.begin(), shards.end(),
                   [&](uint32_t left, uint32_t right) { return rank(left) > rank(right); });
  ViewTable table{columns({"shard#", "node", "queries_10s#", "time_10s#", "queries_1m#", "time_1m#",
                           "queries_10m#", "time_10m#"}),
                  {}};
  for (const uint32_t shard : shards) {
    ViewRow cells = row(shard, catalog->node_name(catalog->node_of({shard})));
    for (const ShardTotals& window : added) {
      cells.push_back(cell(window.queries[shard]));
      cells.push_back(cell(window.us[shard]));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace mosaic::admin
