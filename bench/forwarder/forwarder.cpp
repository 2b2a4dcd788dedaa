// The floor of every comparison: what does it cost to pass bytes from one TCP socket to another, and nothing
// else? One thread, epoll, no protocol: each accepted connection gets one to the target, bytes are copied
// both ways. A side that does not take bytes is not read for: what one read brought is kept until it is gone
// (back-pressure).
//
// Run: forwarder LISTEN_PORT TARGET_PORT (both on 127.0.0.1). It runs until a signal ends it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kEventsPerTurn = 256;
constexpr int kBacklog = 4096;

struct Pair;

// One socket, and what its peer has sent that it has not taken yet.
struct Side {
  int fd = -1;
  Side* peer = nullptr;
  Pair* pair = nullptr;
  std::string unsent;
  uint32_t events = 0;
  bool is_connected = true;
  bool is_at_end = false;  // has sent its end of stream
};

struct Pair {
  Side client, server;
  bool is_closed = false;
};

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

class Forwarder {
 public:
  Forwarder(uint16_t listen_port, uint16_t target_port)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), target_(loopback(target_port)), buffer_(kReadBytes) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (epoll_ < 0 || listener_ < 0) fail("can not create the listener");
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(listen_port);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
      fail("can not bind");
    if (listen(listener_, kBacklog) < 0) fail("can not listen");
    epoll_event event{EPOLLIN, {nullptr}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) < 0) fail("can not watch the listener");
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(kEventsPerTurn);
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), kEventsPerTurn, -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        if (auto* side = static_cast<Side*>(events[i].data.ptr)) {
          on_event(*side, events[i].events);
        } else {
          accept_clients();
        }
      }
      free_closed();
    }
  }

 private:
  void accept_clients() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EAGAIN || errno == ECONNABORTED) return;
        fail("accept");
      }
      const int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (server < 0) fail("socket");
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto owned = std::make_unique<Pair>();
      Pair& pair = *owned;
      pair.client = {.fd = fd, .peer = &pair.server, .pair = &pair};
      pair.server = {.fd = server, .peer = &pair.client, .pair = &pair};
      pair.server.is_connected = false;
      pairs_.insert(owned.release());
      const bool is_refused =
          connect(server, reinterpret_cast<const sockaddr*>(&target_), sizeof target_) < 0 &&
          errno != EINPROGRESS;
      watch(pair.client, EPOLL_CTL_ADD);
      watch(pair.server, EPOLL_CTL_ADD);
      if (is_refused) close_pair(pair);
    }
  }

  // A side is read while its peer has nothing unsent, and written to while it has.
  static uint32_t wanted(const Side& side) {
    uint32_t events = 0;
    if (!side.is_at_end && side.peer->is_connected && side.peer->unsent.empty()) events |= EPOLLIN;
    if (!side.is_connected || !side.unsent.empty()) events |= EPOLLOUT;
    return events;
  }

  void watch(Side& side, int operation) {
    const uint32_t events = wanted(side);
    if (operation == EPOLL_CTL_MOD && events == side.events) return;
    side.events = events;
    epoll_event event{events, {&side}};
    if (epoll_ctl(epoll_, operation, side.fd, &event) < 0) fail("epoll_ctl");
  }

  void watch_both(Pair& pair) {
    watch(pair.client, EPOLL_CTL_MOD);
    watch(pair.server, EPOLL_CTL_MOD);
  }

  void on_event(Side& side, uint32_t events) {
    if (side.pair->is_closed) return;
    if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) return close_pair(*side.pair);
    if (events & EPOLLOUT) {
      side.is_connected = true;
      if (!send_unsent(side)) return;
    }
    if (events & EPOLLIN && !read_from(side)) return;
    watch_both(*side.pair);
  }

  // Both return false when the pair is closed now.
  bool send_unsent(Side& side) {
    const ssize_t sent =
        side.unsent.empty() ? 0 : send(side.fd, side.unsent.data(), side.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return close_pair(*side.pair), false;
    if (sent > 0) side.unsent.erase(0, static_cast<size_t>(sent));
    if (side.unsent.empty() && side.peer->is_at_end) shutdown(side.fd, SHUT_WR);
    return true;
  }

  bool read_from(Side& side) {
    const ssize_t got = recv(side.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EAGAIN || (close_pair(*side.pair), false);
    Side& peer = *side.peer;
    if (got == 0) {
      side.is_at_end = true;
      if (peer.is_at_end) return close_pair(*side.pair), false;
      shutdown(peer.fd, SHUT_WR);
      return true;
    }
    ssize_t sent = send(peer.fd, buffer_.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return close_pair(*side.pair), false;
    if (sent < 0) sent = 0;
    if (sent < got) peer.unsent.assign(buffer_.data() + sent, static_cast<size_t>(got - sent));
    return true;
  }

  // Freed at the end of the turn: an event of the same turn may still point here.
  void close_pair(Pair& pair) {
    close(pair.client.fd);
    close(pair.server.fd);
    pair.is_closed = true;
    closed_.push_back(&pair);
  }

  void free_closed() {
    for (Pair* pair : closed_) {
      pairs_.erase(pair);
      delete pair;
    }
    closed_.clear();
  }

  int epoll_;
  int listener_ = -1;
  sockaddr_in target_;
  std::vector<char> buffer_;
  std::unordered_set<Pair*> pairs_;  // owned
  std::vector<Pair*> closed_;
};

uint16_t parse_port(const char* text) {
  char* end = nullptr;
  const long port = std::strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || port < 1 || port > 65535) {
    std::fprintf(stderr, "forwarder: '%s' is not a port: expected 1 to 65535\n", text);
    std::exit(2);
  }
  return static_cast<uint16_t>(port);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "Usage: forwarder LISTEN_PORT TARGET_PORT\n");
    return 2;
  }
  Forwarder(parse_port(argv[1]), parse_port(argv[2])).run();
} catch (const std::exception& error) {
  std::fprintf(stderr, "forwarder: %s\n", error.what());
  return 1;
}
