#pragma once
// Tells threads that block in poll() to stop or to look up: an eventfd. Any thread raises, many may watch.

#include <atomic>

namespace mosaic::admin {

class StopSignal {
 public:
  StopSignal();  // throws std::system_error when the process has no descriptor left
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  void raise();
  bool is_raised() const { return is_raised_.load(std::memory_order_acquire); }
  // Readable once raised, and from then on.
  int descriptor() const { return descriptor_; }
  // Sleeps until raised or the time is over; true when raised.
  bool wait_ms(int milliseconds) const;
  // Makes it usable again: for signals that mean "look up" instead of "stop".
  void reset();

 private:
  int descriptor_;
  std::atomic<bool> is_raised_{false};
};

}  // namespace mosaic::admin
