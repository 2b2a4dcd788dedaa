#pragma once
// A growable queue of bytes: appended at the back, consumed from the front. Holds no memory while empty and
// asked to release it, so that an idle client costs nothing.

#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace mosaic::routing {

class ByteBuffer {
 public:
  ByteBuffer() = default;
  ~ByteBuffer() { std::free(data_); }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    swap(other);
    return *this;
  }

  size_t size() const { return end_ - begin_; }
  bool is_empty() const { return begin_ == end_; }
  size_t capacity() const { return capacity_; }
  char* data() { return data_ + begin_; }
  const char* data() const { return data_ + begin_; }
  std::string_view view() const { return {data_ + begin_, size()}; }

  void append(const void* bytes, size_t count) {
    if (count == 0) return;
    std::memcpy(extend(count), bytes, count);
  }
  void append(std::string_view bytes) { append(bytes.data(), bytes.size()); }
  void append_u8(uint8_t value) { *extend(1) = static_cast<char>(value); }
  void append_u16(uint16_t value) {
    const char bytes[2] = {static_cast<char>(value >> 8), static_cast<char>(value)};
    append(bytes, 2);
  }
  void append_u32(uint32_t value) {
    char* at = extend(4);
    write_u32(at, value);
  }
  void append_c_string(std::string_view text) {
    append(text);
    append_u8(0);
  }
  // Overwrites four bytes at `offset` from the front: for lengths known only afterwards.
  void patch_u32(size_t offset, uint32_t value) {
    assert(offset + 4 <= size());
    write_u32(data() + offset, value);
  }

  // `count` uninitialised bytes at the back; valid until the next call that grows the buffer.
  char* extend(size_t count) {
    reserve(count);
    char* at = data_ + end_;
    end_ += count;
    return at;
  }
  void reserve(size_t count) {
    if (capacity_ - end_ < count) grow(count);
  }
  void consume(size_t count) {
    assert(count <= size());
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // Drops `count` bytes from the back.
  void truncate(size_t new_size) {
    assert(new_size <= size());
    end_ = begin_ + new_size;
  }
  void clear() { begin_ = end_ = 0; }
  // Gives the memory back when nothing is held.
  void release_if_empty() {
    if (!is_empty()) return;
    std::free(data_);
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }
  void swap(ByteBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  static void write_u32(char* at, uint32_t value) {
    at[0] = static_cast<char>(value >> 24);
    at[1] = static_cast<char>(value >> 16);
    at[2] = static_cast<char>(value >> 8);
    at[3] = static_cast<char>(value);
  }
  void grow(size_t count) {
    if (begin_ > 0) {
      std::memmove(data_, data_ + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    if (capacity_ - end_ >= count) return;
    size_t wanted = capacity_ < 256 ? 256 : capacity_ * 2;
    while (wanted < end_ + count) wanted *= 2;
    void* grown = std::realloc(data_, wanted);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(grown);
    capacity_ = wanted;
  }

  char* data_ = nullptr;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace mosaic::routing
