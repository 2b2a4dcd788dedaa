#include "tests/simulation/simulation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "routing/shard_function.h"
#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::simulation {

using proxy::LeaseEnd;
using proxy::Session;
using routing::ByteBuffer;
using routing::Error;

namespace {

constexpr size_t kClients = 12;
constexpr size_t kServersEach = 2;
constexpr int kUsersEach = 5;            // of each node
constexpr uint64_t kDisturbOneIn = 400;  // steps
constexpr size_t kReplyBytes = 400;      // a client may have unread before it must read on
constexpr uint64_t kStepsToRest = 2'000'000;

routing::ShardId shard_of(const routing::CatalogSnapshot& catalog, int64_t user) {
  routing::KeyValue key;
  key.integer = user;
  return routing::shard_of(catalog.shard_function(), key, catalog.shard_count());
}

Rules rules_of(const std::shared_ptr<const routing::CatalogSnapshot>& catalog) {
  return {[catalog](int64_t user) { return std::string(catalog->schema_of(shard_of(*catalog, user))); },
          [catalog](int64_t user) { return catalog->node_of(shard_of(*catalog, user)).value; }};
}

}  // namespace

// --- a link, for its pump ---

bool Link::has_reply_room() const { return to_client.size() <= kReplyBytes; }

proxy::FramePump::Lease Link::attach(Server& leased) {
  if (server != nullptr) complaint = "a lease for a session that has one";
  server = &leased;
  return {&leased.memory, &leased.queued};
}

proxy::FramePump::LeaseAnswer Link::ask_for_lease(const proxy::LeaseRequest& request) {
  Server* leased = pool.acquire(*this, request.node.value);
  if (leased == nullptr) return {};
  return {attach(*leased), std::nullopt};
}

void Link::end_lease(LeaseEnd end) {
  if (server == nullptr) {
    complaint = "a lease ended twice";
    return;
  }
  Server& left = *std::exchange(server, nullptr);
  left.partial.clear();
  end == LeaseEnd::kReturn ? pool.give_back(left) : pool.discard(left);
}

// --- all of them ---

Simulation::Simulation(uint64_t seed)
    : random_(seed), rules_(rules_of(proxy::script_catalog())), pool_(rules_, names_, 2, kServersEach) {
  environment_.router = &router_;
  environment_.statements = &statements_;
  environment_.welcomes = &welcomes_;
  environment_.parse_contexts = &parse_contexts_;
  environment_.binder = &binder_;
  environment_.buffers = &buffers_;
  environment_.name_values = &names_;
  environment_.catalog = proxy::script_catalog();
  environment_.max_prepared_statements = seed % 2 == 0 ? 3 : 30;
  environment_.prepare_threshold = static_cast<uint32_t>(seed % 4);  // 0: never
  environment_.prepare_simple_queries = seed % 3 != 0;
  environment_.max_client_prepared_statements = 100;
  environment_.traffic.resize(2);
  environment_.shard_queries.resize(environment_.catalog->shard_count());
  int64_t user = 0;
  for (size_t number = 0; number < kClients; ++number) {
    std::vector<std::vector<int64_t>> users(2);
    while (users[0].size() < kUsersEach || users[1].size() < kUsersEach)
      ++user, users[rules_.node_of(user)].push_back(user);
    clients_.push_back(
        std::make_unique<SimulatedClient>(static_cast<int>(number), rules_, std::move(users), random_));
    connect(*clients_.back());
  }
}

void Simulation::connect(SimulatedClient& client) {
  links_.push_back(std::make_unique<Link>(environment_, pool_));
  Link& link = *links_.back();
  link.client = &client;
  client.on_connect();
  link.pump.on_login("app", {}, 1, 2);
}

std::string Simulation::run(uint64_t steps) {
  for (uint64_t i = 0; i < steps && first_complaint().empty(); ++i) step();
  is_shutting_down_ = true;
  for (const auto& client : clients_) client->finish();
  for (const auto& link : links_) link->pump.on_shutdown();
  for (uint64_t i = 0; i < kStepsToRest && first_complaint().empty() && !links_.empty(); ++i) step();
  if (first_complaint().empty() && !links_.empty()) complain(stuck());
  if (first_complaint().empty() && !pool_.is_at_rest())
    complain("a server is leased when all clients have gone");
  return first_complaint();
}

void Simulation::step() {
  if (!is_shutting_down_ && random_.one_in(kDisturbOneIn)) disturb(*links_[random_.below(links_.size())]);
  if (random_.one_in(3)) {
    step_server(*pool_.servers()[random_.below(pool_.servers().size())]);
  } else if (!links_.empty()) {
    step_link(*links_[random_.below(links_.size())]);
  }
  grant();
  sweep();
}

// --- one event ---

std::string_view Simulation::random_piece(ByteBuffer& pipe) {
  if (pipe.is_empty()) return {};
  const size_t count = random_.one_in(3) ? pipe.size() : 1 + random_.below(std::min<size_t>(pipe.size(), 64));
  return pipe.view().substr(0, count);
}

void Simulation::step_link(Link& link) {
  switch (random_.below(4)) {
    case 0:
      if (link.client != nullptr && !link.is_closing) link.to_proxy.append(link.client->next_bytes());
      return;
    case 1: {
      const std::string bytes(random_piece(link.to_proxy));
      link.to_proxy.consume(bytes.size());
      if (!link.is_closing && !bytes.empty()) link.pump.on_client_bytes(bytes);
      return;
    }
    case 2:
      if (link.pump.session().phase() == Session::Phase::kAbandoned && link.server->model.is_running() &&
          link.server->pending_cancels == 0) {
        lose_server(link);  // the cancel came too early; a timeout ends the wait
      } else if (link.client != nullptr && link.client->wants_cancel()) {
        link.pump.on_cancel_request();
      }
      return;
    default: {
      const std::string bytes(random_piece(link.to_client));
      link.to_client.consume(bytes.size());
      if (link.client != nullptr) link.client->on_bytes(bytes);
      if (link.pump.may_resume()) link.pump.pump_client();
    }
  }
}

void Simulation::step_server(Server& server) {
  switch (random_.below(5)) {
    case 0:
      server.to_server.append(server.queued.view());
      server.queued.clear();
      return;
    case 1: {
      const std::string bytes(random_piece(server.to_server));
      server.to_server.consume(bytes.size());
      server.server_input.append(bytes);
      return;
    }
    case 2:
      server.model.run(server.server_input, server.to_proxy);
      return;
    case 3:
      if (server.pending_cancels == 0) return;
      --server.pending_cancels;
      server.model.cancel(server.to_proxy);
      return;
    default: {
      if (server.holder == nullptr) return;
      Link& link = *server.holder;
      const std::string bytes(random_piece(server.to_proxy));
      server.to_proxy.consume(bytes.size());
      process_server(link, bytes);
    }
  }
}

void Simulation::disturb(Link& link) {
  if (link.client == nullptr || link.is_closing) return;
  ++disturbances_;
  SimulatedClient& client = *link.client;
  switch (random_.below(4)) {
    case 0:
      lose_client(link);
      connect(client);
      return;
    case 1:
      client.disturb(true);
      link.pump.on_timeout(Error{"57014", "query timeout", "", ""});
      return;
    case 2:  // whatever runs or waits
      client.disturb(false);
      link.pump.on_cancel_request();
      return;
    default:
      if (link.server == nullptr) return;
      client.disturb(true);
      lose_server(link);
  }
}

void Simulation::grant() {
  Server* server = nullptr;
  while (Link* link = pool_.next_grant(server)) {
    link->pump.on_lease(link->attach(*server));
  }
}

void Simulation::process_server(Link& link, std::string_view bytes) {
  Server& server = *link.server;
  switch (link.pump.on_server_bytes(bytes, server.partial)) {
    case proxy::FramePump::ServerBytes::kTaken:
      break;
    case proxy::FramePump::ServerBytes::kSurplus:
      complain("a server said more than its client was owed");
      break;
    case proxy::FramePump::ServerBytes::kBroken:
      complain("a server's bytes make no sense");
  }
  link.pump.pump_client();
}

void Simulation::lose_server(Link& link) {
  link.pump.on_server_lost(Error{"08006", "connection to node was lost", "", ""});
}

void Simulation::lose_client(Link& link) {
  link.client = nullptr;
  link.is_closing = true;
  link.pump.on_client_lost(link.discarded);
  link.to_client.clear();
}

// Ends links whose last bytes have gone out and whose server is at rest.
void Simulation::sweep() {
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = *links_[i];
    const bool is_client_done = link.client == nullptr || link.to_client.is_empty();
    if (!link.is_closing || !is_client_done || link.server != nullptr || pool_.is_waiting(link)) continue;
    SimulatedClient* client = link.client;
    if (link.pump.session().holds_server()) complain("a session closed with a lease");
    links_.erase(links_.begin() + static_cast<ptrdiff_t>(i));
    --i;
    if (client == nullptr) continue;
    client->on_closed();
    if (!is_shutting_down_) connect(*client);
  }
}

// --- findings ---

std::string Simulation::stuck() const {
  std::string text = fmt::format("{} clients never came to rest:", links_.size());
  for (const auto& link : links_) {
    text += fmt::format(" [phase {}, owed {}, server {}, waiting {}, in {}, to client {}]",
                        static_cast<int>(link->pump.session().phase()), link->pump.session().owed_replies(),
                        link->server != nullptr, pool_.is_waiting(*link), link->pump.waiting_bytes(),
                        link->to_client.size());
    if (link->client != nullptr) text += "\n  client: " + link->client->story();
    if (link->server != nullptr) {
      text += fmt::format("\n  server, status {}, running {}, cancels {}: {}", link->server->model.status(),
                          link->server->model.is_running(), link->server->pending_cancels,
                          fmt::join(link->server->model.history(), "\n    "));
    }
  }
  return text;
}

uint64_t Simulation::compared_frames() const {
  uint64_t frames = 0;
  for (const auto& client : clients_) frames += client->compared_frames();
  return frames;
}

void Simulation::complain(std::string what) {
  if (complaint_.empty()) complaint_ = std::move(what);
}

std::string Simulation::first_complaint() const {
  if (!complaint_.empty()) return complaint_;
  if (!pool_.complaint().empty()) return pool_.complaint();
  for (const auto& link : links_) {
    if (!link->complaint.empty()) return link->complaint;
  }
  for (const auto& client : clients_) {
    if (client->complaint().empty()) continue;
    std::string complaint = client->complaint();
    for (const auto& link : links_) {
      if (link->client == client.get() && link->server != nullptr)
        complaint +=
            fmt::format("\n  its server, of node {}, was told:\n    {}", link->server->memory.node.value,
                        fmt::join(link->server->model.history(), "\n    "));
    }
    return complaint;
  }
  return "";
}

}  // namespace mosaic::simulation
