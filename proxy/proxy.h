#pragma once
// The data plane as one object: workers, their listeners, pools and sessions. main.cpp makes one; admin feeds
// it catalog snapshots and settings and asks it for reports. Every function here may be called from any
// thread.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "pool/event_sink.h"
#include "proxy/proxy_settings.h"
#include "proxy/report.h"
#include "routing/catalog_snapshot.h"
#include "routing/result.h"

namespace mosaic::proxy {

// A client that logged in to the console's database. AuthenticationOk has been sent; the rest of the start-up
// (ParameterStatus, BackendKeyData, ReadyForQuery) and everything after it are the console's. The receiver
// owns `fd` (a non-blocking socket).
struct ConsoleClient {
  int fd = -1;
  std::string user;
  std::string database, application_name;
  std::string address;
  uint16_t port = 0;
  uint64_t id = 0;            // unique among clients
  uint64_t connected_us = 0;  // Unix time
  bool is_admin = false;      // else: SHOW only
  std::string pending;        // bytes already read behind the login
};

enum class ShutdownMode : uint8_t {
  kWaitForServers,  // refuse new clients, close each client when its transaction ends
  kWaitForClients,  // refuse new clients, wait until the connected ones leave
  kNow,
};

class SchemaChanges;

class Proxy {
 public:
  using OnConsoleClient = std::function<void(ConsoleClient)>;  // called on a worker's thread; must not block

  // `events` is told what happens, by any thread, as long as the proxy lives. `catalog` may have no shards
  // (nothing known yet): statements on sharded tables are then refused with that reason.
  Proxy(ProxySettings settings, std::shared_ptr<const routing::CatalogSnapshot> catalog,
        OnConsoleClient on_console, pool::EventSink& events);
  ~Proxy();  // stops now
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // Reads the auth file, binds the listeners, starts the workers. Errors: port taken, unreadable auth file
  // ...
  routing::Status start();
  // Every worker takes the new map for transactions that begin after it sees it.
  void publish(std::shared_ptr<const routing::CatalogSnapshot> catalog);
  // Thread-safe: the shard is about to come to this node; connections for its clients are opened there.
  void expect_shard(routing::ShardId shard, routing::NodeId node);
  // Takes the changeable settings and reads the auth file again; on error nothing changes. Of the nodes those
  // that were there keep their place. Before a map that names new nodes is published.
  routing::Status reload(ProxySettings settings);
  // Thread-safe, as long as the proxy lives.
  SchemaChanges& schema_changes();
  Report collect(const ReportRequest& request, std::chrono::milliseconds deadline);
  void shut_down(ShutdownMode mode);
  // Waits until all workers have stopped; false when the deadline passed first.
  bool wait_until_stopped(std::chrono::milliseconds deadline);
  uint16_t listen_port() const;  // the bound port (useful with port 0)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mosaic::proxy
