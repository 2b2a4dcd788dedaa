#pragma once
// Many clients, their sessions, few servers: bytes go between them in random pieces and random order, while
// clients leave, servers die, statements are cancelled and time out. Frames are cut and leases carried out by
// the FramePump that ClientConnection has, but over pipes in memory. One seed, one run.

#include <memory>
#include <string>
#include <vector>

#include "pool/postgres/name_values.h"
#include "proxy/postgres/frame_pump.h"
#include "tests/simulation/fake_pool.h"
#include "tests/simulation/random.h"
#include "tests/simulation/simulated_client.h"

namespace mosaic::simulation {

// One client connection: the client, its session and the pipes between them.
struct Link final : proxy::FramePump::Driver {
  Link(proxy::SessionEnvironment& environment, FakePool& servers)
      : pool(servers), pump(environment, *this, to_client) {}

  bool takes_client_bytes() const override { return !is_closing; }
  bool has_reply_room() const override;
  void forward(std::string_view run) override { to_client.append(run); }
  proxy::FramePump::LeaseAnswer ask_for_lease(const proxy::LeaseRequest& request) override;
  void stop_waiting() override { pool.stop_waiting(*this); }
  void end_lease(proxy::LeaseEnd end) override;
  void cancel_server() override { ++server->pending_cancels; }
  void close_client() override { is_closing = true; }
  void on_slow_statement(const proxy::SlowStatement&) override {}
  proxy::FramePump::Lease attach(Server& leased);

  FakePool& pool;
  SimulatedClient* client = nullptr;  // null: it has gone, the session still brings its server to rest
  routing::ByteBuffer to_proxy;       // under way
  routing::ByteBuffer to_client;
  routing::ByteBuffer discarded;  // what is said to a client that has gone
  proxy::FramePump pump;
  Server* server = nullptr;
  bool is_closing = false;
  std::string complaint;
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
  void process_server(Link& link, std::string_view bytes);
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
