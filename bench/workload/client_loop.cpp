#include "bench/workload/client_loop.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <ctime>
#include <stdexcept>

namespace mosaic::workload {

namespace {

constexpr Nanoseconds kTick = 20'000'000;  // how late a client's timer may be
constexpr Nanoseconds kTimeoutScan = 500'000'000;
constexpr size_t kEventsMax = 256;  // per call of epoll_wait

std::runtime_error system_error(const char* call) {
  return std::runtime_error(std::string(call) + ": " + std::strerror(errno));
}

}  // namespace

Nanoseconds monotonic_now() {
  return static_cast<Nanoseconds>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                      std::chrono::steady_clock::now().time_since_epoch())
                                      .count());
}

ClientLoop::ClientLoop(const std::vector<PhotoClient*>& clients, Nanoseconds statement_timeout)
    : statement_timeout_(statement_timeout), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw system_error("epoll_create1");
  for (PhotoClient* client : clients) slots_.push_back({client});
}

ClientLoop::~ClientLoop() { ::close(epoll_); }

void ClientLoop::run(const Stage& stage, Statistics& statistics, Pacer* pacer) {
  pacer_ = pacer;
  // By default the kernel may wake a thread 50 us late.
  if (pacer_ != nullptr && ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) != 0) throw system_error("prctl");
  next_tick_ = monotonic_now() + kTick;
  next_timeout_scan_ = monotonic_now() + kTimeoutScan;
  for (Slot& slot : slots_) {
    slot.client->start(stage, statistics, monotonic_now());
    settle(slot);
  }
  while (finished_ < slots_.size()) {
    wait_for_events();
    if (pacer_ != nullptr) start_due();
    if (const Nanoseconds now = monotonic_now(); now >= next_tick_) tick(now);
  }
  if (pacer_ != nullptr) pacer_->finish();
}

void ClientLoop::wait_for_events() {
  const Nanoseconds now = monotonic_now();
  Nanoseconds until = next_tick_;
  if (pacer_ != nullptr && !free_.empty()) until = std::min(until, pacer_->next_due());
  const Nanoseconds left = until > now ? until - now : 0;
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
  std::array<epoll_event, kEventsMax> events;
  const int count = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
  if (count < 0 && errno != EINTR) throw system_error("epoll_pwait2");
  for (int i = 0; i < count; ++i) {
    Slot& slot = slots_[events[static_cast<size_t>(i)].data.u32];
    slot.client->on_ready(monotonic_now());
    settle(slot);
  }
}

void ClientLoop::start_due() {
  Nanoseconds now = monotonic_now();
  while (!free_.empty() && pacer_->next_due() <= now) {
    Slot& slot = *free_.front();
    free_.pop_front();
    slot.is_queued = false;
    if (slot.client->is_free()) slot.client->begin_due(pacer_->take(now), now);
    settle(slot);
    now = monotonic_now();
  }
  pacer_->observe(now);
}

void ClientLoop::tick(Nanoseconds now) {
  next_tick_ = now + kTick;
  const bool scans_timeouts = now >= next_timeout_scan_;
  if (scans_timeouts) next_timeout_scan_ = now + kTimeoutScan;
  for (Slot& slot : slots_) {
    if (slot.is_finished) continue;
    if (slot.client->wake_at() <= now) slot.client->on_timer(now);
    if (scans_timeouts) slot.client->check_timeout(statement_timeout_, now);
    settle(slot);
  }
}

// Brings the loop's view of a client up to date after anything happened to the client.
void ClientLoop::settle(Slot& slot) {
  while (slot.client->connection().needs_attention()) slot.client->on_ready(monotonic_now());
  register_socket(slot);
  if (slot.client->is_free() && !slot.is_queued) {
    free_.push_back(&slot);
    slot.is_queued = true;
  }
  if (slot.client->is_finished() && !slot.is_finished) {
    slot.is_finished = true;
    ++finished_;
  }
}

void ClientLoop::register_socket(Slot& slot) {
  const Connection& connection = slot.client->connection();
  const int socket = connection.socket();
  // The kernel forgets a closed socket by itself, and its number may have been given to another client's.
  if (slot.generation != slot.client->connection_generation() || slot.socket != socket) slot.socket = -1;
  if (socket < 0) return;
  epoll_event event{};
  event.events = EPOLLIN | (connection.wants_write() ? EPOLLOUT : 0u);
  event.data.u32 = static_cast<uint32_t>(&slot - slots_.data());
  if (slot.socket == socket && slot.interest == event.events) return;
  const int operation = slot.socket == socket ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (::epoll_ctl(epoll_, operation, socket, &event) != 0) throw system_error("epoll_ctl");
  slot.socket = socket;
  slot.generation = slot.client->connection_generation();
  slot.interest = event.events;
}

}  // namespace mosaic::workload
