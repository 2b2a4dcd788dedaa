#include "bench/turns/closed_loop.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::turns {

namespace {

constexpr int kEventsPerTurn = 512;
constexpr size_t kReadBytes = 16 << 10;
constexpr uint32_t kProtocolVersion = 196608;  // 3.0

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// User and system time of all threads, to the nanosecond: /proc/PID/stat counts in hundredths of a second
// (proc(5)).
double cpu_seconds(int pid) {
  if (pid == 0) return 0;
  double sum_s = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    double run_ns = 0;
    std::ifstream(task.path() / "schedstat") >> run_ns;
    sum_s += run_ns / 1e9;
  }
  return sum_s;
}

std::string statement_text(const std::string& table, const std::string& value) {
  return fmt::format("SELECT note FROM {} WHERE user_id = {};", table, value);
}

std::string statement_name(uint32_t table) { return fmt::format("read_{}", table); }

}  // namespace

ClosedLoop::ClosedLoop(const Target& target, uint32_t clients, uint64_t seed)
    : target_(target), connections_(clients * target.databases.size()), random_(seed) {
  for (uint32_t database = 0; database < target_.databases.size(); ++database) {
    const auto& tables = target_.databases[database].tables;
    for (uint32_t table = 0; table < tables.size(); ++table) {
      for (const int64_t key : tables[table].keys) reads_.push_back({database, table, key});
    }
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) fail("epoll_create1");
  for (size_t i = 0; i < connections_.size(); ++i) {
    connections_[i].database = static_cast<uint32_t>(i % target_.databases.size());
    open(connections_[i]);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(i);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event) != 0) fail("epoll_ctl");
  }
}

ClosedLoop::~ClosedLoop() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close(connection.fd);
  }
  if (epoll_ >= 0) close(epoll_);
}

void ClosedLoop::open(Connection& connection) {
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(target_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    fail(fmt::format("{}: connect to port {}", target_.name, target_.port));
  const int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  const Database& database = target_.databases[connection.database];
  out_.append_u32(0);
  out_.append_u32(kProtocolVersion);
  for (const std::string_view word :
       {std::string_view("user"), std::string_view(target_.user), std::string_view("database"),
        std::string_view(database.name), std::string_view()}) {
    out_.append_c_string(word);
  }
  out_.patch_u32(0, static_cast<uint32_t>(out_.size()));
  send_out(connection);
  await_reply(connection);
  if (target_.protocol != Protocol::kPrepared) return;
  for (uint32_t table = 0; table < database.tables.size(); ++table) {
    routing::append_parse(out_, statement_name(table), statement_text(database.tables[table].name, "$1"), {});
  }
  routing::append_sync(out_);
  send_out(connection);
  await_reply(connection);
}

void ClosedLoop::append_read(const Read& read) {
  const std::string& table = target_.databases[read.database].tables[read.table].name;
  const std::string key = std::to_string(read.key);
  if (target_.protocol == Protocol::kSimple) return routing::append_query(out_, statement_text(table, key));
  const bool is_prepared = target_.protocol == Protocol::kPrepared;
  const std::string name = is_prepared ? statement_name(read.table) : "";
  if (!is_prepared) routing::append_parse(out_, name, statement_text(table, "$1"), {});
  {
    routing::FrameWriter frame(out_, 'B');
    out_.append_c_string("");
    out_.append_c_string(name);
    out_.append_u16(0);  // formats: all text
    out_.append_u16(1);
    out_.append_u32(static_cast<uint32_t>(key.size()));
    out_.append(key);
    out_.append_u16(0);  // result formats: all text
  }
  routing::append_describe(out_, 'P', "");
  {
    routing::FrameWriter frame(out_, 'E');
    out_.append_c_string("");
    out_.append_u32(0);  // all rows
  }
  routing::append_sync(out_);
}

void ClosedLoop::send_read(size_t client) {
  const Read& read = reads_[random_() % reads_.size()];
  Connection& connection = connections_[client * target_.databases.size() + read.database];
  append_read(read);
  connection.sent_ns = now_ns();
  send_out(connection);
}

void ClosedLoop::send_out(Connection& connection) {
  while (!out_.is_empty()) {
    const ssize_t sent = send(connection.fd, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) fail(fmt::format("{}: send", target_.name));
    out_.consume(static_cast<size_t>(sent));
  }
}

void ClosedLoop::receive(Connection& connection) {
  std::array<char, kReadBytes> bytes;
  const ssize_t got = recv(connection.fd, bytes.data(), bytes.size(), 0);
  if (got < 0 && errno == EINTR) return;
  if (got < 0) fail(fmt::format("{}: recv", target_.name));
  if (got == 0) throw std::runtime_error(fmt::format("{} closed a connection", target_.name));
  connection.received.append(bytes.data(), static_cast<size_t>(got));
}

// Takes whole frames; true when ReadyForQuery is among them.
bool ClosedLoop::take_reply(Connection& connection) {
  bool is_ready = false;
  for (;;) {
    const auto header = routing::find_frame_header(connection.received.view());
    if (!header || connection.received.size() < header->frame_bytes()) return is_ready;
    if (header->type == 'E') {
      const routing::Error error = routing::parse_error_fields(
          connection.received.view().substr(routing::kFrameHeaderBytes, header->body_bytes()));
      throw std::runtime_error(fmt::format("{}: {}", target_.name, error.to_line()));
    }
    is_ready = header->type == 'Z';
    connection.received.consume(header->frame_bytes());
  }
}

void ClosedLoop::await_reply(Connection& connection) {
  do {
    receive(connection);
  } while (!take_reply(connection));
}

Window ClosedLoop::run(double warm_up_s, double window_s, workload::LatencyHistogram& latencies) {
  const uint64_t counted_from_ns = now_ns() + static_cast<uint64_t>(warm_up_s * 1e9);
  const uint64_t counted_to_ns = counted_from_ns + static_cast<uint64_t>(window_s * 1e9);
  const size_t clients = connections_.size() / target_.databases.size();
  for (size_t client = 0; client < clients; ++client) send_read(client);
  Window window;
  uint64_t from_ns = 0, to_ns = 0;
  double cpu_before_s = 0;
  std::array<epoll_event, kEventsPerTurn> events;
  for (size_t busy = clients; busy > 0;) {
    const int ready = epoll_wait(epoll_, events.data(), kEventsPerTurn, -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) fail("epoll_wait");
    if (from_ns == 0 && now_ns() >= counted_from_ns) {
      cpu_before_s = cpu_seconds(target_.pid);
      from_ns = now_ns();
    }
    if (from_ns != 0 && to_ns == 0 && now_ns() >= counted_to_ns) {
      window.cpu_s = cpu_seconds(target_.pid) - cpu_before_s;
      to_ns = now_ns();
    }
    for (int i = 0; i < ready; ++i) {
      const size_t which = events[static_cast<size_t>(i)].data.u32;
      Connection& connection = connections_[which];
      receive(connection);
      if (!take_reply(connection)) continue;
      if (to_ns != 0) {
        --busy;
        continue;
      }
      if (from_ns != 0) {
        ++window.transactions;
        latencies.record(now_ns() - connection.sent_ns);
      }
      send_read(which / target_.databases.size());
    }
  }
  window.seconds = static_cast<double>(to_ns - from_ns) / 1e9;
  return window;
}

}  // namespace mosaic::turns
