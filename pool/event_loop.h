#pragma once
// The only place that knows libuv: a loop, socket watchers, a ticker, a mailbox for other threads and
// name look-ups. Nothing is destroyed inside its own callback: handles close themselves later, and
// defer() postpones any other destruction to the end of the turn. Everything but Mailbox::post belongs to the
// loop's thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "pool/name_lookups.h"

struct uv_loop_s;
struct uv_poll_s;
struct uv_timer_s;
struct uv_async_s;
struct uv_check_s;
struct uv_prepare_s;

namespace mosaic::pool {

class Mailbox;

class EventLoop {
 public:
  explicit EventLoop(NameLookups& names = NameLookups::of_process());
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void run();                                // until stop()
  void stop();                               // ends run() after this turn
  uint64_t now_ms() const;                   // monotonic; read once per turn
  void defer(std::function<void()> action);  // at the end of this turn
  // Runs `action` in each turn when all events of it have been handled, before the loop waits for more.
  void set_before_wait(std::function<void()> action);
  // Looks `host` up without blocking the loop, or its end: `done` is called on the loop's thread, unless the
  // loop goes before the answer comes.
  void resolve(const std::string& host, NameLookups::Tell done);

  uv_loop_s* handle() { return loop_.get(); }

 private:
  std::unique_ptr<uv_loop_s> loop_;
  std::unique_ptr<uv_check_s> check_;
  std::unique_ptr<uv_prepare_s> prepare_;
  std::function<void()> before_wait_;
  std::vector<std::function<void()>> deferred_;
  NameLookups& names_;
  std::shared_ptr<Mailbox> answers_;  // of look-ups; made with the first
  std::unordered_map<uint64_t, NameLookups::Tell> lookups_;
  uint64_t last_lookup_ = 0;
};

// Readiness of one file descriptor, which it does not own.
class SocketWatcher {
 public:
  static constexpr int kReadable = 1;
  static constexpr int kWritable = 2;
  static constexpr int kDisconnected = 4;  // the peer has closed its side; asked for only while not reading

  class Handler {
   public:
    virtual void on_socket(int events) = 0;

   protected:
    ~Handler() = default;
  };

  SocketWatcher(EventLoop& loop, int fd, Handler& handler);
  ~SocketWatcher();
  SocketWatcher(const SocketWatcher&) = delete;
  SocketWatcher& operator=(const SocketWatcher&) = delete;
  void watch(int events);  // 0: none

 private:
  uv_poll_s* poll_;
  Handler* handler_;
  int events_ = 0;
};

// Calls `action` every `period_ms`.
class Ticker {
 public:
  Ticker(EventLoop& loop, uint64_t period_ms, std::function<void()> action);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  uv_timer_s* timer_;
  std::function<void()> action_;
};

// Other threads' way into a loop. Messages run in order on the loop's thread; those that come after close()
// are dropped.
class Mailbox {
 public:
  explicit Mailbox(EventLoop& loop);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  // Any thread. False when the mailbox is closed: the message will not run.
  bool post(std::function<void()> message);
  void close();  // loop's thread

 private:
  void deliver();
  std::mutex mutex_;
  std::vector<std::function<void()>> messages_;
  uv_async_s* async_;
  bool is_closed_ = false;
};

}  // namespace mosaic::pool
