#include "bench/workload/population.h"

#include <cassert>

namespace mosaic::workload {

int64_t Population::draw_user(Random& random) const {
  assert(signed_up_ > 0);
  return first_user_ + static_cast<int64_t>(popularity_.draw(random) % signed_up_);
}

void Population::add_photo(Photo photo) {
  const std::lock_guard lock(mutex_);
  // A full list forgets its oldest photo.
  if (photos_.size() < kPhotosMax) {
    photos_.push_back(photo);
  } else {
    photos_[photos_added_ % kPhotosMax] = photo;
  }
  ++photos_added_;
}

std::optional<Photo> Population::draw_photo(Random& random) const {
  const std::lock_guard lock(mutex_);
  if (photos_.empty()) return std::nullopt;
  return photos_[random() % photos_.size()];
}

}  // namespace mosaic::workload
