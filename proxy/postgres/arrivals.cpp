#include "proxy/postgres/arrivals.h"

#include <algorithm>
#include <array>
#include <deque>
#include <unordered_map>
#include <utility>

#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

using pool::ConnectionPool;
using pool::ServerConnection;
using pool::StatementKey;
using routing::ShardId;

namespace {

constexpr size_t kAnswerBytes = 64 << 10;  // of one message; longer ones are no answer to Parse
constexpr std::string_view kBroken = "it gave no answer to a statement that it was to prepare";

}  // namespace

// Goes from one idle connection of a pool to the next.
class Arrivals::Giver final : public ServerConnection::Holder {
 public:
  Giver(Arrivals& arrivals, ShardId shard, ConnectionPool& pool, std::vector<Statement> statements)
      : arrivals_(arrivals), shard_(shard), pool_(pool), statements_(std::move(statements)) {}

  bool is_done() const { return server_ == nullptr; }
  uint64_t since_ms() const { return since_ms_; }

  void go_on() {
    since_ms_ = arrivals_.loop_.now_ms();
    const auto misses_any = [this](const ServerConnection& server) {
      return std::any_of(statements_.begin(), statements_.end(), [&](const Statement& statement) {
        return arrivals_.is_missing(server, statement.key);
      });
    };
    server_ = pool_.acquire_idle(misses_any);
    if (server_ == nullptr) return;
    server_->set_holder(this);
    routing::ByteBuffer& out = server_->stream().out();
    size_t room = arrivals_.environment_.max_prepared_statements - server_->memory().statements.size();
    for (const Statement& statement : statements_) {
      if (room == 0) break;
      if (!arrivals_.is_missing(*server_, statement.key)) continue;
      out.append(statement.parse);
      routing::append_sync(out);  // each for itself, or one that is refused would take the others with it
      owed_.push_back(statement.key);
      --room;
    }
    arrivals_.environment_.traffic[pool_.node().value].server_parses += owed_.size();
    if (!server_->stream().flush()) give_up();
  }

  void give_up() {
    owed_.clear();
    pool_.discard(*std::exchange(server_, nullptr), kBroken);
  }

 private:
  void on_server_readable() override {
    std::array<char, 8192> bytes;
    const auto result = server_->stream().read(bytes);
    routing::ByteBuffer& partial = server_->partial();
    partial.append({bytes.data(), result.bytes});
    if (result.is_lost) return give_up();
    while (!owed_.empty()) {
      const auto header = routing::find_frame_header(partial.view());
      if (!header) return;
      if (!routing::is_valid(*header) || header->frame_bytes() > kAnswerBytes) return give_up();
      if (partial.size() < header->frame_bytes()) return;
      if (!take(header->type)) return give_up();
      partial.consume(header->frame_bytes());
    }
    if (!partial.is_empty()) return give_up();
    partial.release_if_empty();
    pool_.give_back(*std::exchange(server_, nullptr));
    go_on();
  }
  void on_server_writable() override {}
  void on_server_lost() override { give_up(); }

  // False: it is no answer.
  bool take(char type) {
    const StatementKey& key = owed_.front();
    switch (type) {
      case '1':
        server_->memory().statements.insert(key);
        ++arrivals_.environment_.moving[shard_.value].prepared;
        return true;
      case 'E':
        std::erase_if(statements_, [&](const Statement& statement) { return statement.key == key; });
        return true;
      case 'N':
        return true;
      case 'Z':
        owed_.pop_front();
        return true;
      default:
        return false;
    }
  }

  Arrivals& arrivals_;
  const ShardId shard_;
  ConnectionPool& pool_;
  std::vector<Statement> statements_;  // but for those that the node has refused
  ServerConnection* server_ = nullptr;
  std::deque<StatementKey> owed_;  // answers, in this order
  uint64_t since_ms_ = 0;
};

Arrivals::Arrivals(pool::EventLoop& loop, SessionEnvironment& environment)
    : loop_(loop), environment_(environment) {}

Arrivals::~Arrivals() = default;

bool Arrivals::is_missing(const ServerConnection& server, const StatementKey& key) const {
  const pool::ServerMemory& memory = server.memory();
  if (memory.statements.size() >= environment_.max_prepared_statements || memory.statements.contains(key))
    return false;
  // A name that is still to be closed; constants that would mean something else.
  if (std::find(memory.to_close.begin(), memory.to_close.end(), key) != memory.to_close.end()) return false;
  const uint32_t context =
      memory.settings == nullptr ? 0 : environment_.parse_contexts->id_of(*memory.settings);
  return context == key.context;
}

// Those that most servers of `from` keep come first.
std::vector<Arrivals::Statement> Arrivals::missing(ShardId shard, const ConnectionPool& from,
                                                   const ConnectionPool& to) const {
  std::unordered_map<StatementKey, size_t, pool::StatementKeyHash> uses;
  for (const auto& server : from.servers()) {
    for (const StatementKey& key : server->memory().statements.of_shard(shard)) ++uses[key];
  }
  std::erase_if(uses, [&](const auto& use) {
    return std::none_of(to.servers().begin(), to.servers().end(), [&](const auto& server) {
      return server->state() == ServerConnection::State::kIdle && is_missing(*server, use.first);
    });
  });
  if (uses.empty()) return {};
  std::unordered_map<uint64_t, const PreparedStatement*> known;
  environment_.statements->for_each_current([&](const PreparedStatement& statement) {
    if (statement.is_accepted && statement.sql_type_count == 0) known[statement.id] = &statement;
  });
  routing::Route route;
  route.target = routing::Route::Target::kShard;
  route.node = to.node();
  route.shard = shard;
  std::vector<std::pair<size_t, Statement>> found;
  for (const auto& [key, count] : uses) {
    const auto at = known.find(key.statement);
    if (at == known.end()) continue;  // of another worker, or of the past
    routing::ByteBuffer text, message;
    routing::append_qualified(text, at->second->compiled->view(), route, *environment_.catalog);
    routing::append_parse(message, pool::ServerStatementName(key).view(), text.view(),
                          at->second->declared_types);
    found.push_back({count, {key, std::string(message.view())}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& one, const auto& other) { return one.first > other.first; });
  std::vector<Statement> statements;
  for (auto& [count, statement] : found) statements.push_back(std::move(statement));
  return statements;
}

void Arrivals::open_connections(ShardId shard, const ConnectionPool& from, ConnectionPool& to) {
  const auto has_served_it = [&](const auto& server) {
    return !server->memory().statements.of_shard(shard).empty();
  };
  to.open_ahead(
      static_cast<size_t>(std::count_if(from.servers().begin(), from.servers().end(), has_served_it)));
}

void Arrivals::give_statements(ShardId shard, const ConnectionPool& from, ConnectionPool& to) {
  std::vector<Statement> statements = missing(shard, from, to);
  if (statements.empty()) return;
  givers_.push_back(std::make_unique<Giver>(*this, shard, to, std::move(statements)));
  givers_.back()->go_on();
}

void Arrivals::on_tick(uint32_t limit_ms) {
  const uint64_t now_ms = loop_.now_ms();
  for (const auto& giver : givers_) {
    if (!giver->is_done() && limit_ms > 0 && now_ms > giver->since_ms() + limit_ms) giver->give_up();
  }
  std::erase_if(givers_, [](const auto& giver) { return giver->is_done(); });
}

}  // namespace mosaic::proxy
