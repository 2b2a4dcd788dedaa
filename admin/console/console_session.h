#pragma once
// One console client: the simple query protocol over its socket, blocking, on its own thread. Understands
// commands through console_command and answers them through the registry of views.

#include <string>

#include "admin/console/console_command.h"
#include "admin/console/console_state.h"
#include "admin/stop_signal.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/wire/frame.h"

namespace mosaic::admin {

class ConsoleSession {
 public:
  // Owns the client's socket.
  ConsoleSession(ConsoleState& state, const StopSignal& stop, proxy::ConsoleClient client);
  ~ConsoleSession();
  ConsoleSession(const ConsoleSession&) = delete;
  ConsoleSession& operator=(const ConsoleSession&) = delete;

  void run();  // until the client leaves, breaks the protocol, or the process stops

 private:
  enum class Next : uint8_t { kGoOn, kClose };

  void serve();
  void tell_connected(bool is_connected) const;
  void tell_command(const std::string& command) const;
  void greet();
  Next handle(const routing::FrameHeader& header, std::string_view body);
  void answer(std::string_view text);
  routing::Status execute(const ConsoleCommand& command);
  routing::Status show(const ConsoleCommand& command);
  routing::Status explain(const ConsoleCommand& command);
  routing::Status change_node(const NodeChange& change);
  routing::Status move(const ConsoleCommand& command);
  std::map<uint32_t, uint64_t> shard_heat() const;
  routing::Status show_one_move(uint64_t id);
  Say notices();
  routing::Status require_admin(const char* command) const;
  void append_table(const ViewTable& table, std::string_view tag);
  bool flush();
  bool receive();  // at least one more byte
  bool wait_for(short events);

  ConsoleState& state_;
  const ConsoleBackend& backend_;
  const StopSignal& stop_;
  proxy::ConsoleClient client_;
  routing::ByteBuffer in_;
  routing::ByteBuffer out_;
  bool is_skipping_ = false;  // after an error in the extended protocol, until Sync
};

}  // namespace mosaic::admin
