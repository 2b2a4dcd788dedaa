// How fast does the check of COPY data pass over rows? Run: micro_copy_rows. PostgreSQL itself stores 100 to
// 300 MB/s per connection; the check must not be what limits it.

#include <string>

#include "bench/micro/measured.h"
#include "routing/postgres/copy_rows.h"

namespace {

using namespace mosaic::routing;

// Feeds rows of about `row_bytes` bytes, the key first, in chunks as clients send them.
void pass_over(benchmark::State& state, CopyTarget target, const std::string& rest_of_row) {
  constexpr size_t kChunkBytes = 64 << 10;
  std::string data;
  for (int key = 1; data.size() < (4u << 20); ++key) {
    data += std::to_string(key) + target.delimiter + rest_of_row + "\n";
  }
  target.key_column = 0;
  uint64_t keys = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    CopyRows rows(target);
    for (std::string_view rest = data; !rest.empty();) {
      std::string_view chunk = rest.substr(0, kChunkBytes);
      rest.remove_prefix(chunk.size());
      for (;;) {
        const auto key = rows.next(chunk);
        if (!key) return state.SkipWithError(key.error().message.c_str());
        if (!*key) break;
        benchmark::DoNotOptimize((*key)->value.data());
        ++keys;
      }
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * data.size()));
  state.SetItemsProcessed(static_cast<int64_t>(keys));
}

CopyTarget csv() {
  CopyTarget target;
  target.format = CopyTarget::Format::kCsv;
  target.delimiter = ',';
  return target;
}

void text(benchmark::State& state) {
  pass_over(state, CopyTarget{}, std::string(static_cast<size_t>(state.range(0)), 'x'));
}
void text_of_many_columns(benchmark::State& state) {
  std::string row;
  while (row.size() < static_cast<size_t>(state.range(0))) row += "12345\t";
  pass_over(state, CopyTarget{}, row);
}
void csv_quoted(benchmark::State& state) {
  pass_over(state, csv(), '"' + std::string(static_cast<size_t>(state.range(0)), 'x') + '"');
}
// The worst that a client can send: a byte to stop at in every other place.
void text_of_backslashes(benchmark::State& state) {
  std::string row;
  while (row.size() < static_cast<size_t>(state.range(0))) row += "\\\\";
  pass_over(state, CopyTarget{}, row);
}

BENCHMARK(text)->Arg(10)->Arg(100)->Arg(10'000);
BENCHMARK(text_of_many_columns)->Arg(100);
BENCHMARK(csv_quoted)->Arg(100)->Arg(10'000);
BENCHMARK(text_of_backslashes)->Arg(100)->Arg(10'000);

}  // namespace

BENCHMARK_MAIN();
