#include <signal.h>
#include <spdlog/spdlog.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "admin/commands/commands.h"
#include "admin/config/config_loader.h"
#include "admin/event_log.h"
#include "admin/event_log_sink.h"
#include "admin/log_writer.h"
#include "admin/move/fault_points.h"
#include "admin/pid_file.h"
#include "admin/service.h"
#include "admin/stop_progress.h"

namespace mosaic::admin {

namespace {

constexpr std::chrono::milliseconds kStopPoll{50}, kCountInterval{250};

// Signals are taken by one thread, in order, outside of handlers. Blocked before any other thread exists,
// because threads inherit the mask.
sigset_t block_signals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGQUIT}) sigaddset(&taken, number);
  pthread_sigmask(SIG_BLOCK, &taken, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return taken;
}

// The next signal, 0 when none came within `limit`; waits for ever when it is zero.
int next_signal(const sigset_t& taken, std::chrono::milliseconds limit) {
  int number = -1;
  if (limit.count() == 0) {
    number = sigwaitinfo(&taken, nullptr);
  } else {
    const timespec time = {limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
    number = sigtimedwait(&taken, nullptr, &time);
  }
  return number < 0 ? 0 : number;
}

uint64_t unix_us() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

// As in PgBouncer: INT lets transactions finish, TERM lets clients leave, QUIT is at once; so is a second INT
// or TERM.
proxy::ShutdownMode mode_of(int number, bool is_stopping) {
  if (is_stopping || number == SIGQUIT) return proxy::ShutdownMode::kNow;
  return number == SIGINT ? proxy::ShutdownMode::kWaitForServers : proxy::ShutdownMode::kWaitForClients;
}

const char* describe(proxy::ShutdownMode mode) {
  switch (mode) {
    case proxy::ShutdownMode::kNow:
      return "at once";
    case proxy::ShutdownMode::kWaitForServers:
      return "when transactions end; SIGINT or SIGQUIT now ends them";
    case proxy::ShutdownMode::kWaitForClients:
      return "when all clients have left; SIGINT or SIGQUIT now ends them";
  }
  return "";
}

void serve_until_stopped(Service& service, EventLog& events, const sigset_t& taken) {
  bool is_stopping = false;
  auto mode = proxy::ShutdownMode::kNow;
  StopProgress progress;
  std::chrono::steady_clock::time_point counted_at;
  while (true) {
    const int number = next_signal(taken, is_stopping ? kStopPoll : std::chrono::milliseconds(0));
    if (is_stopping && service.wait_until_stopped(std::chrono::milliseconds(0))) return;
    const auto now = std::chrono::steady_clock::now();
    if (is_stopping && mode != proxy::ShutdownMode::kNow && now - counted_at >= kCountInterval) {
      counted_at = now;
      const bool is_patient = mode == proxy::ShutdownMode::kWaitForClients;
      const auto line = progress.tell(service.count_clients(),
                                      is_patient ? "them to leave" : "their transactions to end", now);
      if (line) spdlog::info("{}", *line);
    }
    if (number == 0) continue;
    if (number == SIGHUP) {
      if (!is_stopping) static_cast<void>(service.reload());  // the log has what came of it
      continue;
    }
    mode = mode_of(number, is_stopping);
    events.record(
        pool::Event(pool::Severity::kInfo, "stopping").add("signal", number).add("when", describe(mode)));
    service.shut_down(mode);
    is_stopping = true;
  }
}

}  // namespace

int run_command(const std::string& config_path) {
  ConfigLoad load = load_config(config_path);
  if (!load.errors.is_empty()) {
    std::cerr << load.errors.to_text(config_path) << '\n';
    return 1;
  }
  const sigset_t taken = block_signals();
  LogWriter writer(STDERR_FILENO, load.config.log.buffer_bytes);
  EventLog events([&writer](std::string_view line) { return writer.put(line); }, unix_us);
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("mosaic", std::make_shared<EventLogSink>(events)));
  spdlog::set_level(spdlog::level::trace);  // the event log has the limit
  const std::string pid_path = load.config.pid_file;
  PidFile pid_file;
  Service service(std::move(load.config), events);
  routing::Status status = check_fault_points();
  if (status) status = pid_file.write(pid_path);
  if (status) status = service.start();
  if (!status) {
    events.record(
        pool::Event(pool::Severity::kError, "start_failed").add("reason", status.error().to_line()));
    return 1;
  }
  serve_until_stopped(service, events, taken);
  events.record(pool::Event(pool::Severity::kInfo, "stopped"));
  return 0;
}

}  // namespace mosaic::admin
