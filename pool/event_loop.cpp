#include "pool/event_loop.h"

#include <uv.h>

#include <cassert>
#include <utility>

namespace mosaic::pool {

namespace {

template <typename Handle>
void close_and_delete(Handle* handle) {
  handle->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* h) { delete reinterpret_cast<Handle*>(h); });
}

}  // namespace

EventLoop::EventLoop(NameLookups& names)
    : loop_(std::make_unique<uv_loop_t>()),
      check_(std::make_unique<uv_check_t>()),
      prepare_(std::make_unique<uv_prepare_t>()),
      names_(names) {
  uv_loop_init(loop_.get());
  uv_check_init(loop_.get(), check_.get());
  check_->data = this;
  uv_prepare_init(loop_.get(), prepare_.get());
  prepare_->data = this;
}

EventLoop::~EventLoop() {
  uv_close(reinterpret_cast<uv_handle_t*>(check_.get()), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(prepare_.get()), nullptr);
  for (auto& action : std::exchange(deferred_, {})) action();
  if (answers_) answers_->close();      // what comes later is dropped
  uv_run(loop_.get(), UV_RUN_DEFAULT);  // lets handles that are closing finish
  uv_loop_close(loop_.get());
}

void EventLoop::run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }
void EventLoop::stop() { uv_stop(loop_.get()); }
uint64_t EventLoop::now_ms() const { return uv_now(loop_.get()); }

void EventLoop::defer(std::function<void()> action) {
  deferred_.push_back(std::move(action));
  if (deferred_.size() > 1) return;
  uv_check_start(check_.get(), [](uv_check_t* check) {
    auto* loop = static_cast<EventLoop*>(check->data);
    uv_check_stop(check);
    for (auto& deferred : std::exchange(loop->deferred_, {})) deferred();
  });
  // A check handle runs after polling: make sure that polling does not wait for the next event.
  auto* nudge = new uv_timer_t;
  uv_timer_init(loop_.get(), nudge);
  uv_timer_start(
      nudge, [](uv_timer_t* timer) { close_and_delete(timer); }, 0, 0);
}

void EventLoop::set_before_wait(std::function<void()> action) {
  before_wait_ = std::move(action);
  uv_prepare_start(prepare_.get(),
                   [](uv_prepare_t* prepare) { static_cast<EventLoop*>(prepare->data)->before_wait_(); });
}

void EventLoop::resolve(const std::string& host, NameLookups::Tell done) {
  if (!answers_) answers_ = std::make_shared<Mailbox>(*this);
  const uint64_t number = ++last_lookup_;
  lookups_.emplace(number, std::move(done));
  names_.find(host, [this, number, answers = answers_](const NameLookups::Answer& answer) {
    answers->post([this, number, answer] { lookups_.extract(number).mapped()(answer); });
  });
}

SocketWatcher::SocketWatcher(EventLoop& loop, int fd, Handler& handler)
    : poll_(new uv_poll_t), handler_(&handler) {
  uv_poll_init(loop.handle(), poll_, fd);
  poll_->data = this;
}

SocketWatcher::~SocketWatcher() {
  uv_poll_stop(poll_);
  close_and_delete(poll_);
}

void SocketWatcher::watch(int events) {
  if (events == events_) return;
  events_ = events;
  if (events == 0) {
    uv_poll_stop(poll_);
    return;
  }
  const int wanted = ((events & kReadable) != 0 ? UV_READABLE : 0) |
                     ((events & kWritable) != 0 ? UV_WRITABLE : 0) |
                     ((events & kDisconnected) != 0 ? UV_DISCONNECT : 0);
  uv_poll_start(poll_, wanted, [](uv_poll_t* poll, int status, int ready) {
    auto* self = static_cast<SocketWatcher*>(poll->data);
    if (self == nullptr) return;
    // After an error libuv has stopped watching. The handler reads what is still there; it is asked again
    // until its read meets the error itself.
    const int wanted_before = self->events_;
    if (status < 0) self->watch(0);
    const int got = status < 0 ? wanted_before
                               : ((ready & UV_READABLE) != 0 ? kReadable : 0) |
                                     ((ready & UV_WRITABLE) != 0 ? kWritable : 0) |
                                     ((ready & UV_DISCONNECT) != 0 ? kDisconnected : 0);
    self->handler_->on_socket(got);
    self = static_cast<SocketWatcher*>(poll->data);
    if (status < 0 && self != nullptr && self->events_ == 0) self->watch(wanted_before);
  });
}

Ticker::Ticker(EventLoop& loop, uint64_t period_ms, std::function<void()> action)
    : timer_(new uv_timer_t), action_(std::move(action)) {
  uv_timer_init(loop.handle(), timer_);
  timer_->data = this;
  uv_timer_start(
      timer_,
      [](uv_timer_t* timer) {
        if (auto* self = static_cast<Ticker*>(timer->data)) self->action_();
      },
      period_ms, period_ms);
}

Ticker::~Ticker() {
  uv_timer_stop(timer_);
  close_and_delete(timer_);
}

Mailbox::Mailbox(EventLoop& loop) : async_(new uv_async_t) {
  uv_async_init(loop.handle(), async_, [](uv_async_t* async) {
    if (auto* self = static_cast<Mailbox*>(async->data)) self->deliver();
  });
  async_->data = this;
}

Mailbox::~Mailbox() { close(); }

bool Mailbox::post(std::function<void()> message) {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return false;
  messages_.push_back(std::move(message));
  uv_async_send(async_);
  return true;
}

void Mailbox::deliver() {
  std::vector<std::function<void()>> messages;
  {
    const std::lock_guard lock(mutex_);
    messages.swap(messages_);
  }
  for (auto& message : messages) message();
}

void Mailbox::close() {
  std::vector<std::function<void()>> dropped;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  if (is_closed_) return;
  is_closed_ = true;
  dropped.swap(messages_);
  close_and_delete(async_);
}

}  // namespace mosaic::pool
