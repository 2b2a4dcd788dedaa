#pragma once
// Unpredictable bytes for nonces, salts and cancel keys. The only source of randomness in the data plane that
// matters to security; what consumes it takes the bytes as an argument, so that tests are deterministic.

#include <cstdint>
#include <span>

namespace mosaic::pool {

// Fills `bytes` from the operating system's generator (through OpenSSL). Ends the process when there is none:
// a proxy that can draw no randomness must not hand out keys that can be guessed. Any thread.
void fill_random(std::span<uint8_t> bytes);

uint64_t random_u64();

}  // namespace mosaic::pool
