#include "pool/random.h"

#include <openssl/rand.h>

#include <cstdio>
#include <cstdlib>

namespace mosaic::pool {

void fill_random(std::span<uint8_t> bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1) return;
  std::fputs("mosaic: the system's random generator failed; can not make secret keys\n", stderr);
  std::abort();
}

uint64_t random_u64() {
  uint64_t value = 0;
  fill_random({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

}  // namespace mosaic::pool
