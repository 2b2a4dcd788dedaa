// What does the wire codec cost: walking over frames, reading the messages that matter, writing some?
// Run: build/release/bench/micro/micro_frames

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "bench/micro/measured.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace {

using namespace mosaic::routing;

// A result of 100 rows, as it lies in a read buffer: the session looks at each header.
void walk_over_result(benchmark::State& state) {
  ByteBuffer bytes;
  const std::array<std::optional<std::string>, 2> row{std::string("123456"),
                                                      std::string(static_cast<size_t>(state.range(0)), 'x')};
  for (int i = 0; i < 100; ++i) append_data_row(bytes, row);
  append_command_complete(bytes, "SELECT 100");
  append_ready(bytes, 'I');
  int64_t frames = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    for (std::string_view rest = bytes.view(); !rest.empty(); ++frames) {
      const auto header = find_frame_header(rest);
      if (!header || !is_valid(*header)) return state.SkipWithError("the frames make no sense");
      rest.remove_prefix(header->frame_bytes());
    }
  }
  state.SetItemsProcessed(frames);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(walk_over_result)->ArgName("row_bytes")->Arg(20)->Arg(1000);

ByteBuffer bind_body(int parameters) {
  ByteBuffer body;
  body.append_c_string("");
  body.append_c_string("read_profile");
  body.append_u16(0);
  body.append_u16(static_cast<uint16_t>(parameters));
  for (int i = 0; i < parameters; ++i) {
    body.append_u32(6);
    body.append("123456");
  }
  body.append_u16(0);
  return body;
}

void read_bind(benchmark::State& state) {
  const ByteBuffer body = bind_body(static_cast<int>(state.range(0)));
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    auto bind = parse_bind(body.view());
    benchmark::DoNotOptimize(bind);
    if (!bind) return state.SkipWithError("the message is refused");
  }
}
BENCHMARK(read_bind)->ArgName("parameters")->Arg(1)->Arg(10)->Arg(100);

void read_parse(benchmark::State& state) {
  ByteBuffer body;
  body.append_c_string("s1");
  body.append_c_string("SELECT user_id, name, bio, country FROM users WHERE user_id = $1");
  body.append_u16(1);
  body.append_u32(20);
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    auto parse = parse_parse(body.view());
    benchmark::DoNotOptimize(parse);
    if (!parse) return state.SkipWithError("the message is refused");
  }
}
BENCHMARK(read_parse);

void write_query(benchmark::State& state) {
  ByteBuffer out;
  append_query(out, "SELECT user_id, name, bio, country FROM users WHERE user_id = 123456");
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    out.clear();
    append_query(out, "SELECT user_id, name, bio, country FROM users WHERE user_id = 123456");
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(write_query);

void write_error(benchmark::State& state) {
  const Error error{"MZ010", "the statement names no shard", "table \"media\"", "add user_id = ... to WHERE"};
  ByteBuffer out;
  append_error(out, error);
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    out.clear();
    append_error(out, error);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(write_error);

}  // namespace

BENCHMARK_MAIN();
