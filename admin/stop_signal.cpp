#include "admin/stop_signal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace mosaic::admin {

StopSignal::StopSignal() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

StopSignal::~StopSignal() { close(descriptor_); }

void StopSignal::raise() {
  is_raised_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  // Full is readable, and that is all a watcher looks at.
  [[maybe_unused]] const ssize_t written = write(descriptor_, &one, sizeof one);
}

void StopSignal::reset() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(descriptor_, &count, sizeof count);
  is_raised_.store(false, std::memory_order_release);
}

bool StopSignal::wait_ms(int milliseconds) const {
  pollfd watched{descriptor_, POLLIN, 0};
  poll(&watched, 1, milliseconds);
  return is_raised();
}

}  // namespace mosaic::admin
