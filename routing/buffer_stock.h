#pragma once
// Memory of buffers that are empty, for those who need a buffer only while a statement runs: thousands of
// clients that wait or idle hold none, and who gets one gets what was used last, which is still in the
// processor's caches. One per thread.

#include <vector>

#include "routing/byte_buffer.h"

namespace mosaic::routing {

class BufferStock {
 public:
  static constexpr size_t kBuffersMax = 64;
  static constexpr size_t kBytesMax = 16 << 10;  // of one buffer; larger ones are freed

  BufferStock() { spare_.reserve(kBuffersMax); }

  // Gives memory to a buffer that has none. Without spare memory the buffer allocates as it grows.
  void lend(ByteBuffer& buffer) {
    if (buffer.capacity() > 0 || spare_.empty()) return;
    buffer.swap(spare_.back());
    spare_.pop_back();
  }
  // Takes an empty buffer's memory; one that holds bytes keeps it.
  void take_back(ByteBuffer& buffer) {
    if (!buffer.is_empty() || buffer.capacity() == 0) return;
    if (buffer.capacity() > kBytesMax || spare_.size() == kBuffersMax) return buffer.release_if_empty();
    spare_.emplace_back().swap(buffer);
  }
  size_t size() const { return spare_.size(); }

 private:
  std::vector<ByteBuffer> spare_;
};

}  // namespace mosaic::routing
