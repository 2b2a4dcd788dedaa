#pragma once
// The users and photos that all clients know of: whom to read, like and follow. Shared by all threads; rows'
// expected contents are not here but in each client's Oracle.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "bench/workload/zipf.h"

namespace mosaic::workload {

struct Photo {
  int64_t id = 0;
  int64_t user_id = 0;
};

class Population {
 public:
  // Users are first_user .. first_user + user_count - 1; `exponent` skews who is popular.
  Population(int64_t first_user, uint64_t user_count, double exponent)
      : first_user_(first_user), user_count_(user_count), popularity_(user_count, exponent) {}

  int64_t first_user() const { return first_user_; }
  uint64_t user_count() const { return user_count_; }
  bool holds(int64_t user_id) const {
    return user_id >= first_user_ && user_id < first_user_ + static_cast<int64_t>(user_count_);
  }

  // From now on users [0, count) are drawn. Call between the stages of a phase only.
  void set_signed_up(uint64_t count) { signed_up_ = count; }
  uint64_t signed_up() const { return signed_up_; }
  // A user by popularity; set_signed_up(> 0) must have been called.
  int64_t draw_user(Random& random) const;

  void add_photo(Photo photo);
  // Any photo of the run, popular users' more often as they have more; nothing while there is none.
  std::optional<Photo> draw_photo(Random& random) const;

 private:
  static constexpr size_t kPhotosMax = 1 << 16;

  int64_t first_user_;
  uint64_t user_count_;
  Zipf popularity_;
  uint64_t signed_up_ = 0;
  mutable std::mutex mutex_;
  std::vector<Photo> photos_;
  uint64_t photos_added_ = 0;
};

}  // namespace mosaic::workload
