// What does it cost to find the shard of a key: the hash of its value, and with it the reading of its text or
// binary form? Run: build/release/bench/micro/micro_hashing

#include <string_view>

#include "bench/micro/measured.h"
#include "routing/shard_function.h"

namespace {

using namespace mosaic::routing;

constexpr uint32_t kShards = 1024;

constexpr std::string_view kInt8Text = "1035278463874924549";
constexpr std::string_view kInt8Binary("\x0e\x5e\x0c\x2b\x1a\x2b\x3c\x4d", 8);
constexpr std::string_view kText = "somebody@example.org";
constexpr std::string_view kUuidText = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
constexpr std::string_view kUuidBinary("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11",
                                       16);

// The value is known already.
void hash(benchmark::State& state, ShardFunction function, KeyType type, std::string_view text) {
  auto key = parse_key_text(type, text);
  if (!key) return state.SkipWithError(key.error().message.c_str());
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(*key);
    benchmark::DoNotOptimize(shard_of(function, *key, kShards));
  }
}

void read_and_hash(benchmark::State& state, KeyType type, std::string_view bytes, bool is_binary) {
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    const auto key = is_binary ? parse_key_binary(type, 0, bytes) : parse_key_text(type, bytes);
    if (!key) return state.SkipWithError(key.error().message.c_str());
    benchmark::DoNotOptimize(shard_of(ShardFunction::kXxh3, *key, kShards));
  }
}

BENCHMARK_CAPTURE(hash, int8_xxh3, ShardFunction::kXxh3, KeyType::kInt8, kInt8Text);
BENCHMARK_CAPTURE(hash, int8_modulo, ShardFunction::kModulo, KeyType::kInt8, kInt8Text);
BENCHMARK_CAPTURE(hash, text_20_bytes_xxh3, ShardFunction::kXxh3, KeyType::kText, kText);
BENCHMARK_CAPTURE(hash, uuid_xxh3, ShardFunction::kXxh3, KeyType::kUuid, kUuidText);
BENCHMARK_CAPTURE(read_and_hash, int8_text, KeyType::kInt8, kInt8Text, false);
BENCHMARK_CAPTURE(read_and_hash, int8_binary, KeyType::kInt8, kInt8Binary, true);
BENCHMARK_CAPTURE(read_and_hash, text_20_bytes, KeyType::kText, kText, false);
BENCHMARK_CAPTURE(read_and_hash, uuid_text, KeyType::kUuid, kUuidText, false);
BENCHMARK_CAPTURE(read_and_hash, uuid_binary, KeyType::kUuid, kUuidBinary, true);

}  // namespace

BENCHMARK_MAIN();
