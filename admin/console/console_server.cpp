#include "admin/console/console_server.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <system_error>

#include "admin/console/console_session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

// A last word to a client that is not served; what does not fit into its socket is lost.
void refuse(int descriptor, const routing::Error& error) {
  routing::ByteBuffer out;
  routing::append_error(out, error, "FATAL");
  [[maybe_unused]] const ssize_t sent = send(descriptor, out.data(), out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(descriptor);
}

}  // namespace

ConsoleServer::ConsoleServer(ConsoleBackend backend)
    : backend_(std::move(backend)),
      averages_(TrafficAverages::Clock::now()),
      sampler_([this] { keep_averages(); }) {}

ConsoleServer::~ConsoleServer() {
  stop_.raise();
  sampler_.join();
  for (Session& session : sessions_) session.thread.join();
}

void ConsoleServer::serve(proxy::ConsoleClient client) {
  const std::lock_guard lock(mutex_);
  remove_ended();
  const uint32_t limit = backend_.config()->max_console_clients;
  if (sessions_.size() >= limit || stop_.is_raised())
    return refuse(client.fd, {routing::sqlstate::kTooManyConnections, "too many console clients",
                              fmt::format("max_console_clients is {}", limit),
                              "close one, or raise [limits] max_console_clients"});
  const int descriptor = client.fd;
  Session& session = sessions_.emplace_back();
  try {
    session.thread = std::thread([this, &session, taken = std::move(client)]() mutable {
      ConsoleSession(backend_, averages_, stop_, std::move(taken)).run();
      session.is_over = true;
    });
  } catch (const std::system_error& error) {
    sessions_.pop_back();
    refuse(descriptor,
           {routing::sqlstate::kTooManyConnections, "no thread for the console", error.what(), ""});
  }
}

void ConsoleServer::remove_ended() {
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    if (!at->is_over) {
      ++at;
      continue;
    }
    at->thread.join();
    at = sessions_.erase(at);
  }
}

void ConsoleServer::keep_averages() {
  // The period may change with a reload: it is read anew each time.
  while (!stop_.wait_ms(static_cast<int>(backend_.config()->stats_period_ms))) {
    const proxy::Report report = backend_.report({});
    if (report.is_complete) averages_.end_period(sum_traffic(report), TrafficAverages::Clock::now());
  }
}

}  // namespace mosaic::admin
