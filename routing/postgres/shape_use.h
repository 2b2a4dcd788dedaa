#pragma once
// How often the statements of one shape ran, how long that took and what came of it. One object for all
// spellings of a statement (literals and $1 alike are ?), shared by the plans, prepared statements and
// running statements of one worker that have this shape; gone with the last of them. One thread; counting
// allocates nothing and reads no clock.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace mosaic::routing {

// Durations in classes that are a quarter of a power of two wide: a percentile is known to within 19 %.
class TimeHistogram {
 public:
  static constexpr size_t kClasses = 4 * 28;  // up to 2^28 us, 4.5 minutes; what takes longer counts as that

  void add(uint64_t us) { ++counts_[class_of(us)]; }
  void add(const TimeHistogram& other);
  // The duration that `share` (0 to 1) of what was added did not exceed: the upper end of its class.
  // Microseconds; 0 when nothing was added.
  uint64_t percentile_us(double share) const;

 private:
  static size_t class_of(uint64_t us);
  static uint64_t upper_end_us(size_t number);
  std::array<uint32_t, kClasses> counts_{};
};

// What has been counted: of one worker, or the sum over workers. Times in microseconds.
struct ShapeCounts {
  uint64_t calls = 0;   // completed, failed or refused
  uint64_t errors = 0;  // of these, those that ended in an error
  uint64_t rows = 0;    // as CommandComplete tells
  uint64_t time_us = 0;
  TimeHistogram times;  // of what a server was asked for

  void add(const ShapeCounts& other);
};

class ShapeUse {
 public:
  const std::string& text() const { return text_; }  // normalised
  size_t bytes() const { return sizeof(ShapeUse) + text_.capacity(); }

  ShapeCounts counts;
  std::string_view placement;  // a literal: "sharded", "reference", ... or the refusal's SQLSTATE
  uint64_t parse_ns = 0;       // spent on plans for it

 private:
  friend class ShapeUses;
  friend class ShapeUseRef;
  std::string text_;
  class ShapeUses* owner_ = nullptr;
  uint32_t references_ = 0;
};

// Keeps it alive.
class ShapeUseRef {
 public:
  ShapeUseRef() = default;
  ShapeUseRef(ShapeUse* use) : use_(use) {
    if (use_ != nullptr) ++use_->references_;
  }
  ShapeUseRef(const ShapeUseRef& other) : ShapeUseRef(other.use_) {}
  ShapeUseRef(ShapeUseRef&& other) noexcept : use_(std::exchange(other.use_, nullptr)) {}
  ShapeUseRef& operator=(ShapeUseRef other) noexcept {
    std::swap(use_, other.use_);
    return *this;
  }
  ~ShapeUseRef() {
    if (use_ != nullptr && --use_->references_ == 0) destroy(use_);
  }

  ShapeUse* get() const { return use_; }
  ShapeUse* operator->() const { return use_; }
  explicit operator bool() const { return use_ != nullptr; }

 private:
  static void destroy(ShapeUse* use);
  ShapeUse* use_ = nullptr;
};

// Those of one worker, by text. Does not own them.
class ShapeUses {
 public:
  ShapeUses() = default;
  ~ShapeUses();
  ShapeUses(const ShapeUses&) = delete;
  ShapeUses& operator=(const ShapeUses&) = delete;

  // `shape`: the tokenizer's, with its markers.
  ShapeUseRef find_or_add(std::string_view shape);

  template <typename Each>
  void for_each(Each&& each) const {
    for (const auto& [text, use] : by_text_) each(*use);
  }

 private:
  friend class ShapeUseRef;
  std::unordered_map<std::string_view, ShapeUse*> by_text_;
};

// The shape with ? for literals (markers) and parameters ($1).
std::string normalised_shape(std::string_view shape);

}  // namespace mosaic::routing
