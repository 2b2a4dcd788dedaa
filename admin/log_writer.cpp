#include "admin/log_writer.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mosaic::admin {

LogWriter::LogWriter(int descriptor, size_t bytes_max)
    : descriptor_(descriptor), bytes_max_(bytes_max), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    std::unique_lock lock(mutex_);
    is_leaving_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kLeaveLimit, [&] { return lines_.empty(); });
  }
  stop_.raise();
  thread_.join();
}

bool LogWriter::put(std::string_view line) {
  const std::lock_guard lock(mutex_);
  // One line may always wait, however long it is.
  if (!lines_.empty() && bytes_ + line.size() + 1 > bytes_max_) return false;
  bytes_ += line.size() + 1;
  lines_.push_back(std::string(line) + '\n');
  if (lines_.size() == 1) changed_.notify_all();
  return true;
}

void LogWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return !lines_.empty() || is_leaving_; });
    if (lines_.empty()) return;
    // A line is one write, so that lines of processes that share a file stay whole. It keeps its place in the
    // buffer until it is written.
    const std::string& line = lines_.front();
    lock.unlock();
    const bool is_written = write_all(line);
    lock.lock();
    bytes_ -= lines_.front().size();
    lines_.pop_front();
    if (!is_written) return;
    if (lines_.empty()) changed_.notify_all();
  }
}

// False: it is time to leave, and the reader takes no more.
bool LogWriter::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd watched[2] = {{descriptor_, POLLOUT, 0}, {stop_.descriptor(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0 && errno == EINTR) continue;
    if (watched[0].revents == 0) return false;
    // A pipe that poll() calls writable takes this many bytes at once, pipe(7): write() does not block.
    const ssize_t count = ::write(descriptor_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;  // nobody reads it any more, or the disk is full: this line is lost
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace mosaic::admin
