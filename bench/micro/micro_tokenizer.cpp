// What does a pass over a statement's text cost per byte? The design allows about a nanosecond. See
// bytes_per_second (1 GB/s is 1 ns per byte). Run: build/release/bench/micro/micro_tokenizer

#include <string>

#include "bench/micro/measured.h"
#include "routing/postgres/sql/tokenizer.h"

namespace {

using mosaic::routing::Tokenizer;

std::string repeated(const std::string& part, size_t bytes_min) {
  std::string text = "SELECT ";
  while (text.size() < bytes_min) text += part;
  return text + "1";
}

void tokenize(benchmark::State& state, const std::string& text) {
  Tokenizer tokenizer;
  if (!tokenizer.read(text)) return state.SkipWithError("the lexer refuses the text");
  {
    const mosaic::micro::Measured measured(state);
    for (auto _ : state) {
      benchmark::DoNotOptimize(tokenizer.read(text));
      benchmark::DoNotOptimize(tokenizer.shape().data());
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["tokens"] = static_cast<double>(tokenizer.tokens().size());
  state.counters["bytes"] = static_cast<double>(text.size());
}

BENCHMARK_CAPTURE(tokenize, point_select, std::string("SELECT caption FROM media WHERE user_id = 123456"));
BENCHMARK_CAPTURE(
    tokenize, insert_with_strings,
    std::string("INSERT INTO media (user_id, caption, filter, width) VALUES (123456, 'a caption of "
                "ordinary length, with a few words in it', 'normal', 1080) RETURNING id"));
BENCHMARK_CAPTURE(tokenize, hint_comment,
                  std::string("/* mosaic shard=42 */ SELECT count(*) FROM media WHERE caption = 'x'"));
// By sort of token, 4 KB each: words, integers, strings, white space, comments.
BENCHMARK_CAPTURE(tokenize, words, repeated("some_column, ", 4096));
BENCHMARK_CAPTURE(tokenize, integers, repeated("1234567, ", 4096));
BENCHMARK_CAPTURE(tokenize, short_strings, repeated("'abcdefgh', ", 4096));
BENCHMARK_CAPTURE(tokenize, one_long_string, "SELECT '" + std::string(4096, 'x') + "'");
BENCHMARK_CAPTURE(tokenize, white_space, repeated("1,\n                          ", 4096));
BENCHMARK_CAPTURE(tokenize, comments, repeated("1, /* what this is for */ ", 4096));

}  // namespace

BENCHMARK_MAIN();
