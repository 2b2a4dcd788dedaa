#include "bench/workload/phase_runner.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace mosaic::workload {

namespace {

constexpr int kTickMs = 20;  // how late a timer may be
constexpr Nanoseconds kTimeoutScan = 500'000'000;

// One thread's clients and its epoll instance.
class ClientLoop {
 public:
  ClientLoop(std::vector<PhotoClient*> clients, Nanoseconds statement_timeout)
      : statement_timeout_(statement_timeout), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) throw std::runtime_error("epoll_create1: " + std::string(std::strerror(errno)));
    for (PhotoClient* client : clients) slots_.push_back({client, -1, 0, 0});
  }
  ~ClientLoop() { ::close(epoll_); }
  ClientLoop(const ClientLoop&) = delete;
  ClientLoop& operator=(const ClientLoop&) = delete;

  void run(const Stage& stage, Statistics& statistics) {
    for (Slot& slot : slots_) {
      slot.client->start(stage, statistics, monotonic_now());
      settle(slot);
    }
    Nanoseconds next_scan = monotonic_now() + kTimeoutScan;
    std::vector<epoll_event> events(256);
    while (has_unfinished()) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kTickMs);
      for (int i = 0; i < count; ++i) {
        Slot& slot = slots_[events[static_cast<size_t>(i)].data.u32];
        slot.client->on_ready(monotonic_now());
        settle(slot);
      }
      fire_timers(monotonic_now());
      if (monotonic_now() < next_scan) continue;
      next_scan = monotonic_now() + kTimeoutScan;
      for (Slot& slot : slots_) {
        slot.client->check_timeout(statement_timeout_, monotonic_now());
        settle(slot);
      }
    }
  }

 private:
  struct Slot {
    PhotoClient* client;
    int socket;
    uint64_t generation;  // of the connection whose socket is registered
    uint32_t interest;
  };

  bool has_unfinished() const {
    for (const Slot& slot : slots_) {
      if (!slot.client->is_finished()) return true;
    }
    return false;
  }

  void fire_timers(Nanoseconds now) {
    for (Slot& slot : slots_) {
      if (slot.client->is_finished() || slot.client->wake_at() > now) continue;
      slot.client->on_timer(now);
      settle(slot);
    }
  }

  // Brings epoll's view of a client's socket up to date after anything happened to the client.
  void settle(Slot& slot) {
    const Connection& connection = slot.client->connection();
    while (connection.needs_attention()) slot.client->on_ready(monotonic_now());
    const int socket = connection.socket();
    // The kernel forgets a closed socket by itself, and its number may have been given to another client's.
    if (slot.generation != slot.client->connection_generation() || slot.socket != socket) slot.socket = -1;
    if (socket < 0) return;
    epoll_event event{};
    event.events = EPOLLIN | (connection.wants_write() ? EPOLLOUT : 0u);
    event.data.u32 = static_cast<uint32_t>(&slot - slots_.data());
    if (slot.socket == socket && slot.interest == event.events) return;
    const int operation = slot.socket == socket ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (::epoll_ctl(epoll_, operation, socket, &event) != 0) {
      throw std::runtime_error("epoll_ctl: " + std::string(std::strerror(errno)));
    }
    slot.socket = socket;
    slot.generation = slot.client->connection_generation();
    slot.interest = event.events;
  }

  Nanoseconds statement_timeout_;
  int epoll_;
  std::vector<Slot> slots_;
};

}  // namespace

Nanoseconds monotonic_now() {
  return static_cast<Nanoseconds>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                      std::chrono::steady_clock::now().time_since_epoch())
                                      .count());
}

void PhaseRunner::run(const Stage& stage, std::vector<std::unique_ptr<PhotoClient>>& clients,
                      Statistics& statistics) {
  std::vector<std::vector<PhotoClient*>> shares(threads_);
  for (size_t i = 0; i < clients.size(); ++i) shares[i % threads_].push_back(clients[i].get());

  std::vector<Statistics> measured(threads_);
  std::mutex mutex;
  std::condition_variable changed;
  uint32_t running = threads_;
  std::vector<std::jthread> threads;
  const Nanoseconds begin = monotonic_now();
  for (uint32_t i = 0; i < threads_; ++i) {
    threads.emplace_back([&, i] {
      ClientLoop(std::move(shares[i]), statement_timeout_).run(stage, measured[i]);
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_all();
    });
  }

  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, std::chrono::milliseconds(200), [&] { return running == 0; })) {
    StageProgress progress;
    progress.seconds = static_cast<double>(monotonic_now() - begin) / 1e9;
    for (const Statistics& share : measured) {
      progress.statements += share.statements;
      progress.errors += share.errors;
      progress.lost += share.lost;
      progress.wrong_answers += share.wrong_answers;
    }
    on_progress_(progress);
  }
  lock.unlock();
  threads.clear();
  for (const Statistics& share : measured) statistics.merge(share);
}

}  // namespace mosaic::workload
