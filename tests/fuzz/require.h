#pragma once
// What a fuzz target asserts: alive in every build, unlike assert(), and fatal, so that the fuzzer keeps the input.

#include <cstdio>
#include <cstdlib>

// The builtins stand for std::source_location, which clang 14 does not have.
inline void require(bool is_true, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (is_true) return;
  std::fprintf(stderr, "%s:%d: requirement failed\n", file, line);
  std::abort();
}
