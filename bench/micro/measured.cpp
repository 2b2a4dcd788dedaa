#include "bench/micro/measured.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOSAIC_COUNTS_ALLOCATIONS 0
#else
#define MOSAIC_COUNTS_ALLOCATIONS 1
#endif

namespace {
uint64_t allocations = 0;  // micro-benchmarks have one thread
}

#if MOSAIC_COUNTS_ALLOCATIONS
// glibc lets a program replace malloc() and keeps its own under these names (glibc manual, "Replacing
// malloc").
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);

void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  ++allocations;
  return __libc_realloc(memory, bytes);
}
}
#endif

namespace mosaic::micro {

namespace {

// The thread's user-space instructions; -1 where perf_event_open(2) is not allowed
// (kernel.perf_event_paranoid, many containers and virtual machines).
int open_instruction_counter() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

// 0: can not be counted.
uint64_t instruction_count() {
  static const int counter = open_instruction_counter();
  uint64_t count = 0;
  if (counter < 0 || ::read(counter, &count, sizeof count) != sizeof count) return 0;
  return count;
}

benchmark::Counter per_iteration(uint64_t count) {
  return {static_cast<double>(count), benchmark::Counter::kAvgIterations};
}

}  // namespace

uint64_t allocation_count() { return allocations; }
bool counts_allocations() { return MOSAIC_COUNTS_ALLOCATIONS != 0; }

Measured::Measured(benchmark::State& state)
    : state_(state), allocations_before_(allocations), instructions_before_(instruction_count()) {}

Measured::~Measured() {
  const uint64_t instructions = instruction_count();
  if (counts_allocations()) state_.counters["allocations"] = per_iteration(allocations - allocations_before_);
  if (instructions > 0) state_.counters["instructions"] = per_iteration(instructions - instructions_before_);
}

}  // namespace mosaic::micro
