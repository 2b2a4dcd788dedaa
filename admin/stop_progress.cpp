#include "admin/stop_progress.h"

#include <fmt/format.h>

namespace mosaic::admin {

std::optional<std::string> StopProgress::tell(size_t clients, const char* wait_for, Time now) {
  if (told_ && now - told_at_ < (*told_ == clients ? kRepeatInterval : kChangeInterval)) return std::nullopt;
  if (clients == 0 && !told_) return std::nullopt;  // nobody to wait for
  told_ = clients;
  told_at_ = now;
  return fmt::format("stopping: {} {} left, waiting for {}", clients, clients == 1 ? "client" : "clients",
                     wait_for);
}

}  // namespace mosaic::admin
