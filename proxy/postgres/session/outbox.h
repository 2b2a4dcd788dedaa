#pragma once
// What a session wants done: the actions that its one driver executes after each event. A session never does
// I/O and never calls its driver, so it can not be re-entered.

#include <memory>
#include <optional>
#include <vector>

#include "pool/postgres/server_memory.h"
#include "proxy/postgres/session/statement_times.h"
#include "routing/byte_buffer.h"
#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::proxy {

struct LeaseRequest {
  routing::NodeId node;
  std::optional<pool::StatementKey> preferred;  // rather a connection that has this statement prepared
  bool is_any_node_good = false;          // another node would do, and will be asked for when this one fails
  std::optional<routing::ShardId> shard;  // of what is to run there
  bool is_read = false;                   // which changes nothing
  routing::Epoch refused_at;  // the shard's node refused it while the map said this; 0: it did not
  uint32_t refusals = 0;      // so far
};

enum class LeaseEnd : uint8_t {
  kNone,
  kReturn,   // clean: the next client may have it
  kDiscard,  // broken, or holding state that nobody else may see
};

struct Outbox {
  routing::ByteBuffer* to_client = nullptr;  // appended to; the driver sends
  routing::ByteBuffer* to_server = nullptr;  // while a lease is held
  std::optional<LeaseRequest> lease_request;
  bool stop_waiting = false;  // for the lease asked for before
  LeaseEnd lease_end = LeaseEnd::kNone;
  bool cancel_server = false;                     // interrupt what the server runs
  bool close_client = false;                      // after sending what is queued
  std::unique_ptr<routing::Error> closing_error;  // why; null: the client has said goodbye
  routing::ByteBuffer redeliver;  // messages of the client to be delivered again, before those that wait
  bool flush_client = false;      // the client waits for what is queued, whatever a server still owes
  std::vector<SlowStatement> slow_statements;
  // Told by the driver: part of a frame has gone to the client, so that nothing but its rest may follow.
  bool is_mid_frame = false;
};

}  // namespace mosaic::proxy
