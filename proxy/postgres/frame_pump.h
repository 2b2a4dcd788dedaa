#pragma once
// One client's bytes as frames, both ways: the client's go to its session frame by frame, the server's on to
// the client in runs, past the session, which looks at headers and at the bodies it asks for. What the
// session wants done (Outbox) is carried out here, in the one right order, by means of a Driver: sockets and
// pools in ClientConnection, pipes in memory in the simulation, so that what is simulated is what runs. Knows
// no sockets, routes nothing, parses no body.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/postgres/session/outbox.h"
#include "proxy/postgres/session/session.h"
#include "routing/byte_buffer.h"
#include "routing/result.h"

namespace mosaic::proxy {

class FramePump {
 public:
  struct Lease {
    pool::ServerMemory* server = nullptr;
    routing::ByteBuffer* to_server = nullptr;
  };
  // Neither: on_lease() or on_lease_failed() will be called.
  struct LeaseAnswer {
    std::optional<Lease> lease;
    std::optional<routing::Error> error;
  };
  enum class ServerBytes : uint8_t {
    kTaken,
    kSurplus,  // more than the client was owed; the server will not be used again
    kBroken,   // they make no sense; the server is to be lost
  };
  // What pumping needs done. None of these may call the pump.
  class Driver {
   public:
    virtual bool takes_client_bytes() const = 0;     // false: the client is gone, or is being closed
    virtual bool has_reply_room() const = 0;         // the client reads what it is sent
    virtual void forward(std::string_view run) = 0;  // to the client, behind what is queued for it
    virtual LeaseAnswer ask_for_lease(const LeaseRequest& request) = 0;
    virtual void stop_waiting() = 0;
    virtual void end_lease(LeaseEnd end) = 0;
    virtual void cancel_server() = 0;
    virtual void close_client() = 0;  // after sending what is queued
    virtual void on_slow_statement(const SlowStatement& statement) = 0;

   protected:
    ~Driver() = default;
  };

  FramePump(SessionEnvironment& environment, Driver& driver, routing::ByteBuffer& to_client);
  FramePump(const FramePump&) = delete;
  FramePump& operator=(const FramePump&) = delete;

  Session& session() { return session_; }
  const Session& session() const { return session_; }

  // --- events; each carries out what follows from it before it returns ---
  void on_login(std::string_view user, const std::vector<std::pair<std::string, std::string>>& settings,
                uint32_t process_id, uint32_t secret);
  void on_client_bytes(std::string_view bytes);  // in any pieces
  // `partial`: what is kept of a frame, with the server.
  ServerBytes on_server_bytes(std::string_view bytes, routing::ByteBuffer& partial);
  void on_lease(const Lease& lease);
  void on_lease_failed(const routing::Error& error);
  void on_gate_open();
  void on_server_lost(const routing::Error& error);
  // Nothing of it waits any more, what is said to it goes to `discarded`.
  void on_client_lost(routing::ByteBuffer& discarded);
  void on_cancel_request();
  void on_timeout(const routing::Error& error);
  void on_shutdown();

  // Takes what waits, if it can be taken now.
  void pump_client();
  size_t waiting_bytes() const { return in_.size(); }  // of the client, not taken yet
  // Frames wait because the client did not read its replies, and now it does.
  bool may_resume() const { return is_held_back_ && driver_.has_reply_room(); }
  bool flushes_client() const { return outbox_.flush_client; }  // the client waits for what is queued
  void on_client_flushed() { outbox_.flush_client = false; }
  void give_back_buffers();
  // Why it asked for close_client(); null: the client has said goodbye.
  const routing::Error* closing_error() const { return outbox_.closing_error.get(); }

 private:
  size_t take(std::string_view bytes);
  bool refuses(const routing::FrameHeader& header);
  void run_actions();
  void begin_lease(const Lease& lease);

  Driver& driver_;
  const SessionEnvironment& environment_;
  Outbox outbox_;
  Session session_;
  routing::ByteBuffer in_;            // client bytes not taken yet
  size_t server_body_remaining_ = 0;  // of a server frame under way
  uint32_t copy_remaining_ = 0;       // of a CopyData body under way from the client
  bool is_forwarding_body_ = false;
  bool is_held_back_ = false;  // frames were left in in_ for want of room for their replies
};

}  // namespace mosaic::proxy
