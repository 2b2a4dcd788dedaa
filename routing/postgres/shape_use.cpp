#include "routing/postgres/shape_use.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::routing {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What may stand in a name: a $ behind it belongs to the name.
bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         (c & 0x80) != 0;
}

}  // namespace

size_t TimeHistogram::class_of(uint64_t us) {
  if (us < 4) return us;
  const auto power = static_cast<size_t>(std::bit_width(us)) - 1;
  const size_t quarter = (us >> (power - 2)) & 3;
  return std::min(4 * (power - 1) + quarter, kClasses - 1);
}

uint64_t TimeHistogram::upper_end_us(size_t number) {
  if (number < 4) return number;
  const size_t power = number / 4 + 1;
  return ((uint64_t{5} + number % 4) << (power - 2)) - 1;
}

void TimeHistogram::add(const TimeHistogram& other) {
  for (size_t i = 0; i < kClasses; ++i) counts_[i] += other.counts_[i];
}

uint64_t TimeHistogram::percentile_us(double share) const {
  uint64_t total = 0;
  for (const uint32_t count : counts_) total += count;
  if (total == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(total)));
  uint64_t seen = 0;
  for (size_t i = 0; i < kClasses; ++i) {
    seen += counts_[i];
    if (seen >= wanted && counts_[i] > 0) return upper_end_us(i);
  }
  return upper_end_us(kClasses - 1);
}

void ShapeCounts::add(const ShapeCounts& other) {
  calls += other.calls;
  errors += other.errors;
  rows += other.rows;
  time_us += other.time_us;
  times.add(other.times);
}

void ShapeUseRef::destroy(ShapeUse* use) {
  if (use->owner_ != nullptr) use->owner_->by_text_.erase(use->text_);
  delete use;
}

ShapeUses::~ShapeUses() {
  for (const auto& [text, use] : by_text_) use->owner_ = nullptr;
}

ShapeUseRef ShapeUses::find_or_add(std::string_view shape) {
  std::string text = normalised_shape(shape);
  if (const auto at = by_text_.find(text); at != by_text_.end()) return {at->second};
  auto* use = new ShapeUse;  // owned by its references
  use->text_ = std::move(text);
  use->owner_ = this;
  by_text_.emplace(use->text_, use);
  return {use};
}

std::string normalised_shape(std::string_view shape) {
  std::string text;
  text.reserve(shape.size());
  bool is_in_name = false;  // "..."
  for (size_t i = 0; i < shape.size(); ++i) {
    const char c = shape[i];
    if (c == '"') is_in_name = !is_in_name;
    const bool begins_parameter = !is_in_name && c == '$' && i + 1 < shape.size() && is_digit(shape[i + 1]) &&
                                  (text.empty() || !is_name_character(text.back()));
    if (is_shape_marker(c) || begins_parameter) {
      text += '?';
      while (begins_parameter && i + 1 < shape.size() && is_digit(shape[i + 1])) ++i;
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace mosaic::routing
