#pragma once
// When a client did what, and which of its time limits is over. Knows no sockets and no session.

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/proxy_settings.h"
#include "routing/result.h"

namespace mosaic::proxy {

class ClientClock {
 public:
  // What a client is doing, as far as limits go.
  enum class Doing : uint8_t {
    kLoggingIn,
    kRunning,            // a server works for it
    kIdle,               // without a server
    kIdleInTransaction,  // between statements, and its server is nobody else's
    kOther,              // waits for a server (the pool's limit), or is pinned to one
  };

  // `now_ms` of the loop, `unix_us` of the world.
  ClientClock(uint64_t now_ms, uint64_t unix_us)
      : connected_us_(unix_us), active_ms_(now_ms), idle_since_ms_(now_ms) {}

  void on_bytes(uint64_t now_ms) { active_ms_ = now_ms; }
  void on_turn_end(bool is_running, uint64_t now_ms);
  void on_closing(uint64_t now_ms) { closing_since_ms_ = now_ms; }

  uint64_t connected_us() const { return connected_us_; }  // Unix time
  uint64_t active_ms() const { return active_ms_; }        // last sign of life of the client
  bool has_been_quiet(uint64_t limit_ms, uint64_t now_ms) const {
    return is_over(active_ms_, limit_ms, now_ms);
  }
  bool has_been_closing(uint64_t limit_ms, uint64_t now_ms) const {
    return is_over(closing_since_ms_, limit_ms, now_ms);
  }
  // The name of the limit on what it is doing; empty: there is none.
  static std::string_view limit_of(Doing doing);
  // The error that ends the connection.
  std::optional<routing::Error> overdue(Doing doing, const ProxySettings& settings, uint64_t now_ms) const;

 private:
  static bool is_over(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms) {
    return limit_ms > 0 && now_ms > since_ms && now_ms - since_ms > limit_ms;
  }

  uint64_t connected_us_;
  uint64_t active_ms_;
  uint64_t busy_since_ms_ = 0;  // when the running statement was sent, 0: none
  uint64_t idle_since_ms_;      // when the last statement ended
  uint64_t closing_since_ms_ = 0;
};

}  // namespace mosaic::proxy
