#pragma once
// Many clients, their sessions, few servers: bytes go between them in random pieces and random order, while
// clients leave, servers die, statements are cancelled and time out. Drives Session as ClientConnection does,
// but over pipes in memory. One seed, one run.

#include <memory>
#include <string>
#include <vector>

#include "pool/postgres/name_values.h"
#include "proxy/postgres/session/session.h"
#include "tests/simulation/fake_pool.h"
#include "tests/simulation/random.h"
#include "tests/simulation/simulated_client.h"

namespace mosaic::simulation {

// One client connection: the client, its session and the pipes between them.
struct Link {
  SimulatedClient* client = nullptr;  // null: it has gone, the session still brings its server to rest
  routing::ByteBuffer to_proxy;       // under way
  routing::ByteBuffer in;             // arrived, not taken by the session yet
  routing::ByteBuffer to_client;
  proxy::Outbox outbox;
  std::unique_ptr<proxy::Session> session;
  Server* server = nullptr;
  uint32_t copy_remaining = 0;
  size_t server_body_remaining = 0;
  bool is_forwarding_body = false;
  bool is_closing = false;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed);

  // `steps` random events, then a shutdown; what went wrong, or nothing.
  std::string run(uint64_t steps);
  // For the test to see that there was something to go wrong.
  uint64_t compared_frames() const;
  uint64_t leases() const { return pool_.leases(); }
  uint64_t disturbances() const { return disturbances_; }
  bool binds_queries() const {
    return environment_.prepare_simple_queries && environment_.prepare_threshold > 0;
  }
  uint64_t bound_queries() const { return environment_.bound_queries; }
  uint64_t unbound_queries() const { return environment_.unbound_queries; }

 private:
  void connect(SimulatedClient& client);
  void step();
  void step_link(Link& link);
  void step_server(Server& server);
  void disturb(Link& link);
  void grant();
  void process_client(Link& link);
  void process_server(Link& link, std::string_view bytes);
  bool complete_partial(Link& link, std::string_view bytes, size_t& at);
  void run_actions(Link& link);
  void attach(Link& link, Server& server);
  void end_lease(Link& link, proxy::LeaseEnd end);
  void lose_server(Link& link);
  void lose_client(Link& link);
  void sweep();
  std::string_view random_piece(routing::ByteBuffer& pipe);
  std::string stuck() const;
  void complain(std::string what);
  std::string first_complaint() const;

  Random random_;
  Rules rules_;
  pool::NameValuesTable names_;
  routing::Router router_{routing::RouterLimits{}};
  proxy::StatementCache statements_{1 << 20, 1, 1};
  proxy::WelcomeCache welcomes_;
  proxy::ParseContexts parse_contexts_{1, 1};
  proxy::QueryBinder binder_;
  routing::BufferStock buffers_;
  proxy::SessionEnvironment environment_;
  FakePool pool_;
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
  std::vector<std::unique_ptr<Link>> links_;
  bool is_shutting_down_ = false;
  uint64_t disturbances_ = 0;
  std::string complaint_;
};

}  // namespace mosaic::simulation
