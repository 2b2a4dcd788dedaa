#include "admin/console/console_server.h"

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
    : state_(std::move(backend)), sampler_([this] { sample(); }) {}

ConsoleServer::~ConsoleServer() {
  stop_.raise();
  sampler_.join();
  for (Session& session : sessions_) session.thread.join();
}

void ConsoleServer::serve(proxy::ConsoleClient client) {
  const std::lock_guard lock(mutex_);
  remove_ended();
  const uint32_t limit = state_.backend.config()->max_console_clients;
  if (sessions_.size() >= limit || stop_.is_raised()) {
    state_.backend.events->record(pool::Event(pool::Severity::kWarning, "console_refused")
                                      .add("client", client.id)
                                      .add("user", client.user)
                                      .add("reason", "max_console_clients")
                                      .add("limit", limit));
    return refuse(client.fd, {routing::sqlstate::kTooManyConnections, "too many console clients",
                              fmt::format("max_console_clients is {}", limit),
                              "close one, or raise [limits] max_console_clients"});
  }
  const int descriptor = client.fd;
  Session& session = sessions_.emplace_back();
  try {
    session.thread = std::thread([this, &session, taken = std::move(client)]() mutable {
      ConsoleSession(state_, stop_, std::move(taken)).run();
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

void ConsoleServer::sample() {
  constexpr int kSampleMs = 1000;
  using Clock = TrafficAverages::Clock;
  Clock::time_point period_began = Clock::now();
  while (!stop_.wait_ms(kSampleMs)) {
    state_.backend.events->tick();
    const proxy::Report report = state_.backend.report({});
    if (!report.is_complete) continue;
    const Clock::time_point now = Clock::now();
    state_.heat.sample(sum_shards(report), now);
    // The period may change with a reload: it is read anew each time.
    const std::chrono::milliseconds period(state_.backend.config()->stats_period_ms);
    if (now - period_began < period) continue;
    state_.averages.end_period(sum_traffic(report), now);
    period_began = now;
  }
}

}  // namespace mosaic::admin
