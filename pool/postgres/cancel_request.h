#pragma once
// One CancelRequest on its way to a node (PostgreSQL manual, "Canceling Requests in Progress"): a connection
// of its own, sixteen bytes, and the wait until the server closes it, which it does once it has sent the
// signal. Never blocks; whoever owns it ends it by destroying it when it takes too long.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "pool/event_loop.h"
#include "pool/postgres/server_connector.h"

namespace mosaic::pool {

class CancelRequest final : public SocketWatcher::Handler {
 public:
  enum class End : uint8_t {
    kDelivered,  // the server has acted on it
    kNotSent,    // it never left: nothing will be cancelled
    kInDoubt,    // sent, and what became of it is not known: it may still hit what runs later
  };
  using OnDone = std::function<void(End)>;

  // `done` is called once, from the loop and never from inside this; the request may not be destroyed in it,
  // but deferred.
  CancelRequest(EventLoop& loop, const SocketAddress& server, BackendKey key, OnDone done);
  ~CancelRequest();
  CancelRequest(const CancelRequest&) = delete;
  CancelRequest& operator=(const CancelRequest&) = delete;

  bool has_sent() const { return sent_bytes_ > 0; }  // some of it may have reached the server

 private:
  void on_socket(int events) override;
  bool send_rest();
  void finish(End end);

  OnDone done_;
  int fd_ = -1;
  std::array<char, 16> message_;
  size_t sent_bytes_ = 0;
  std::optional<SocketWatcher> watcher_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace mosaic::pool
