#pragma once
// A listening TCP socket with SO_REUSEPORT: every worker has one on the same port and the kernel spreads the
// clients.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pool/event_loop.h"
#include "routing/result.h"

namespace mosaic::pool {

class Listener final : public SocketWatcher::Handler {
 public:
  // A connected, non-blocking socket that the receiver owns, and its peer.
  using OnAccept = std::function<void(int fd, std::string address, uint16_t port)>;

  // Errors name the address and what is wrong with it (taken, not ours, no such host).
  static routing::Result<std::unique_ptr<Listener>> open(EventLoop& loop, const std::string& address,
                                                         uint16_t port, uint32_t backlog, OnAccept on_accept);
  // Fails when somebody else listens there: SO_REUSEPORT would let two processes share the port unnoticed.
  // With port 0 the address alone is in question.
  static routing::Status probe(const std::string& address, uint16_t port);
  ~Listener();
  uint16_t port() const;
  // Called about every 100 ms: takes connections again after the process ran out of descriptors.
  void on_tick();

 private:
  Listener(EventLoop& loop, int fd, OnAccept on_accept);
  void on_socket(int events) override;

  int fd_;
  OnAccept on_accept_;
  bool is_paused_ = false;
  std::optional<SocketWatcher> watcher_;
};

}  // namespace mosaic::pool
